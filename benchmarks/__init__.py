"""Measurements, each one command; nothing here is imported by the program."""
