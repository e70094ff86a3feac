"""Time that trials wait for images, and what helps where it is a bottleneck. Standard library only."""

from __future__ import annotations

BOTTLENECK = 0.1
"""Share of a trial's time from which on waiting for images is worth doing something about."""
NEXT_STEP = (
    "give each trial more threads (--threads), run fewer trials at once (--workers), or store pixels instead of JPEG "
    "(raysweep data write --encoding raw)"
)


def wait_share(wait_s: float, wall_s: float) -> float:
    """Share of the time (0..1) that was spent waiting for images; 0 where no time has been spent."""
    return min(1.0, wait_s / wall_s) if wall_s > 0 else 0.0


def is_bottleneck(share: float) -> bool:
    """Whether data, not arithmetic, holds the training up."""
    return share >= BOTTLENECK
