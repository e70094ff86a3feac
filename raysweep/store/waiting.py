"""The time that trials wait for images, and what to do about it."""

from __future__ import annotations

BOTTLENECK = 0.1
"""Share of a trial's time above which waiting for images is reported."""
NEXT_STEP = (
    "give each trial more threads (--threads), run fewer trials at once (--workers), or store pixels instead of JPEG "
    "(raysweep data write --encoding raw)"
)


def wait_share(wait_s: float, wall_s: float) -> float:
    """The share of the time (0..1) that was spent waiting for images; 0 before any time has passed."""
    return min(1.0, wait_s / wall_s) if wall_s > 0 else 0.0


def is_bottleneck(share: float) -> bool:
    """Whether waiting for images slows training down."""
    return share >= BOTTLENECK
