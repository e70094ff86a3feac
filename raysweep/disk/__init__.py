"""Files on this machine: atomic replacement, locks and the user's cache."""
