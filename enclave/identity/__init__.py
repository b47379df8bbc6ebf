"""Where identities become pseudonyms: numbers judged, people and courses named in the vault, then forgotten."""
