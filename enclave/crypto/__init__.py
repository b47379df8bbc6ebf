"""Envelopes, signatures and keys: how bytes are sealed, opened and vouched for."""
