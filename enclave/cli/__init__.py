"""The command line: one small file for each group of commands. It decides nothing; it asks `desk.py` and the jobs."""
