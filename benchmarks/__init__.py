"""Measured claims: each script prints both sides from one run and writes its figures to `results/`."""
