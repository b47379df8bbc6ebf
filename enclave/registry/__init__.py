"""What a registry is: its forms, variables, codes, checks, tables and loans, as its definition states them."""
