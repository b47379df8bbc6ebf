"""Registry rows (through a reader that cannot write) to result tables."""
