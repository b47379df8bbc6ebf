"""Facts about analysis."""
