"""Power: the smallest gain that a number of seeds detects, and the number of seeds that a gain needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache

import numpy as np
from scipy import optimize

from raysweep.analysis.statistics.comparisons import CONFIDENCE, Comparisons
from raysweep.analysis.statistics.dunnett import EQUAL_LOAD, critical, power

POWER = 0.8
MOST_SEEDS = 200
"""Largest number of seeds considered, more than anyone would train."""


@cache
def detectable_sds(seeds: int, variants: int) -> float:
    """The gain, in standard deviations of one trial, that Dunnett's test detects with a probability of `POWER`.

    `seeds` (>= 2) is the number of seeds of the baseline and of each variant, with no trial missing.
    """
    df = (seeds - 1) * variants
    bound = critical(np.full(variants, EQUAL_LOAD), df, CONFIDENCE)
    shortfall = lambda shift: power(shift, bound, df) - POWER  # noqa: E731
    shift = optimize.brentq(shortfall, 0, 4 * bound + 10, xtol=1e-4)
    return float(shift) * math.sqrt(2 / seeds)


def detectable(found: Comparisons) -> float:
    """The smallest gain, in points, that the line detects with a probability of 80 %; not a number with one seed."""
    if not found.family or math.isnan(found.sd):
        return math.nan
    return found.sd * detectable_sds(found.seeds, len(found.family))


def seeds_needed(gain: float, found: Comparisons) -> int | None:
    """Number of seeds that detect a gain of this size, in points, with a probability of 80 %.

    None if it is more than `MOST_SEEDS`, or if the errors are unknown.
    """
    if not found.family or not found.sd or not gain:
        return None
    enough = found.sd / abs(gain)  # the inverse of the gain in standard deviations grows as `detectable_sds` falls
    inverse = lambda seeds: 1 / detectable_sds(seeds, len(found.family))  # noqa: E731
    needed = 2 + bisect_left(range(2, MOST_SEEDS + 1), enough, key=inverse)
    return needed if needed <= MOST_SEEDS else None
