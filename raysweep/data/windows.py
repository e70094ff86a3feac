"""How much of a stored image a crop shows at a scale. Standard library only."""

from __future__ import annotations


def window_side(side: int, scale: float) -> int:
    """The side, in stored px, of the square that becomes a crop of `side` px when the image is scaled."""
    return max(1, round(side / scale))
