"""The log of every act: nothing happens that is not recorded first, and nobody changes what is recorded unnoticed."""
