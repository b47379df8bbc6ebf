"""Facts about report."""
