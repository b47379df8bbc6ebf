"""The control database: runs, states, requests and the ledger. No personal data. Beneath every stage."""
