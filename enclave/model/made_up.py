"""The one made-up person of sample files: nobody, and known to the gate as nobody."""

MADE_UP_PERSON = "15888010030"
"""A synthetic number (month + 80): no register issues it, a test server takes it and a production server refuses it."""
MADE_UP_COURSE = "EKSEMPEL-1"
MADE_UP_TEXT = "Eksempel"
