"""From a sealed drop to checked rows that still name people, and the answer to the sender."""
