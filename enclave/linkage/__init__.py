"""Borrowed data: opened in memory, linked by exact id, reported in counts, and destroyed with evidence."""
