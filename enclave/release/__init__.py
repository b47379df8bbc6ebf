"""Drafts to sealed bundles: the only way out of the server."""
