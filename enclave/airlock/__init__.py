"""Where files cross the wall: what lies at the airlock is ciphertext, placed there by people we do not trust."""
