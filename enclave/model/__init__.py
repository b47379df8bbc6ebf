"""The nouns that one stage hands to the next. All are frozen; none does anything."""
