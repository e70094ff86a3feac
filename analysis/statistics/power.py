"""Power: the smallest gain that a contrast is likely to show, and the number of seeds that a gain needs."""

from __future__ import annotations

import math

from scipy import special

from raysweep.analysis.contrasts import Contrast

POWER = 0.8
MOST_SEEDS = 200
"""Largest number of seeds considered, more than anyone would train."""
ABOVE = float(special.ndtri(POWER))


def detectable(found: Contrast) -> float:
    """The gain, in points, whose interval excludes 0 with a probability of 80 %; not a number without an interval."""
    return found.half + ABOVE * found.error


def seeds_needed(found: Contrast, gain: float, level: float) -> int | None:
    """Number of seeds of both variants with which a gain of this size, in points, is shown with a probability of 80 %.

    `level` is that of the intervals. Not exact for a few seeds, whose intervals are somewhat wider than normal ones.
    None if it is more than `MOST_SEEDS`, or if the errors are unknown.
    """
    if math.isnan(found.sd) or math.isnan(gain) or not gain:
        return None
    needed = max(2, math.ceil(((ABOVE - special.ndtri(level / 2)) * found.sd / gain) ** 2))
    return needed if needed <= MOST_SEEDS else None
