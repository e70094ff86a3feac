"""Drives trials: through Ray Tune and Ray Train, or one after another in this process."""
