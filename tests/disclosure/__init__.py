"""Facts about disclosure."""
