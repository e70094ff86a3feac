"""Power: the smallest gain that a contrast is likely to show, and the number of seeds that a gain needs."""

from __future__ import annotations

import math
from functools import cache

from scipy import optimize, stats

from raysweep.analysis.contrasts import Contrast
from raysweep.analysis.statistics.dunnett import power

POWER = 0.8
MOST_SEEDS = 200
"""Largest number of seeds considered, more than anyone would train."""


@cache
def _shift(level: float, df: float) -> float:
    """The gain, in standard errors, that a test at this two-sided level shows with a probability of `POWER`."""
    bound = float(stats.t.isf(level / 2, df))
    return float(optimize.brentq(lambda shift: power(shift, bound, df) - POWER, 0, 4 * bound + 10, xtol=1e-6))


def detectable(found: Contrast, level: float) -> float:
    """The smallest gain, in points, that the contrast shows with a probability of 80 %; not a number without errors."""
    return math.nan if math.isnan(found.error) else found.error * _shift(level, found.df)


def seeds_needed(found: Contrast, gain: float, level: float) -> int | None:
    """Number of seeds of both variants with which a gain of this size, in points, is shown with a probability of 80 %.

    None if it is more than `MOST_SEEDS`, or if the errors are unknown.
    """
    if math.isnan(found.sd) or math.isnan(gain) or not gain:
        return None
    needed = max(2, math.ceil((found.sd * _shift(level, found.df) / gain) ** 2))
    return needed if needed <= MOST_SEEDS else None
