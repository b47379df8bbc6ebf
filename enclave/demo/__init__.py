"""The outside world in small: synthetic people, simulated institutions and lender, an embedded airlock."""
