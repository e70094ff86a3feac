"""Sequential comparison of variants with a baseline: what to run next, when to stop, and what may be claimed."""
