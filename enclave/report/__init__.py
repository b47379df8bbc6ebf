"""Releasable tables to pages, workbooks and CSV; each number comes from the one releasable table."""
