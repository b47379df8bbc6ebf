"""Facts about release."""
