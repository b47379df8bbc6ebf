"""What people do at the terminal: acts of a named person, requests for jobs to carry out, and what waits for whom."""
