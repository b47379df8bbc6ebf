"""The registry: rows by state, judged against earlier rows, read only by state and purpose."""
