"""The store's tests: one suite for SQLCipher and PostgreSQL."""
