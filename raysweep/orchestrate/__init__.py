"""Drives trials: through Ray Tune and Ray Train, or one after another in this process."""

from raysweep.disk.cache import ensure_home

ensure_home()
