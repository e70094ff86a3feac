"""The verbs of the `raysweep` command, each loading what it needs when called."""
