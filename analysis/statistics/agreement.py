"""Agreement of two orders of the same variants: pairs in order, and Kendall's tau-b with an exact p and an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import stats

from raysweep.analysis.contrasts import Floats
from raysweep.analysis.load import Line, once_a_line
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import CONFIDENCE
from raysweep.analysis.statistics.ranks import drawn, ranked

RESAMPLES = 2000
LEAST_VARIANTS = 3
"""Fewest variants with a tau: two variants have only one order and its opposite."""
LEAST_FOR_INTERVAL = 5
"""Fewest variants with an interval: tau over fewer has only a few different values."""
MOST_ENUMERATED = 7
"""Most variants of which all permutations are counted if there are ties."""


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b over n variants; the ends of its interval are not numbers if it has none."""

    tau: float
    low: float
    high: float
    n: int
    p: float
    """Two-sided permutation p-value of the hypothesis that the orders have nothing to do with each other."""
    in_order: float
    """Number of pairs that both orders have the same way round; a tie of the first order counts one half."""
    pairs: int
    """Number of pairs that differ in the second order."""

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" ({self.low:.2f} to {self.high:.2f})"
        return f"{self.tau:.2f}{interval}".replace("-", "−")

    @property
    def share(self) -> str:
        """The share of pairs in order, with their number."""
        return f"{self.in_order / self.pairs:.0%} of {self.pairs}".replace("%", " %") if self.pairs else "none"


@once_a_line
def with_published(line: Line) -> Agreement | None:
    """Agreement of our order of a line's variants, including the baseline, with the published one.

    The interval is over seeds alone: the variants are those that were asked about, not a sample.
    """
    ours = ranked(line)
    paper = published_study(line.study, line.baseline)["published_top1"].dropna()
    both = [variant for variant in ours.index if variant in paper.index]
    values = paper[both].to_numpy(dtype=float)
    draws = drawn(line, both)
    return agree(ours[both].to_numpy(dtype=float), values, None if draws is None else (draws, values[None, :]))


def agree(ours: Floats, others: Floats, draws: tuple[Floats, Floats] | None = None) -> Agreement | None:
    """Agreement of two lists of values of the same variants.

    `draws` are the same values as they might have been, one row a draw or a single row for certain ones; the interval
    has 95 % of their taus. None for fewer than three variants, or if all are equal.
    """
    n = len(ours)
    if n < LEAST_VARIANTS:
        return None
    tau = float(taus(ours[None, :], others[None, :])[0])
    if math.isnan(tau):
        return None
    low, high = math.nan, math.nan
    if draws is not None and n >= LEAST_FOR_INTERVAL:
        one, other = (np.broadcast_to(table[:RESAMPLES], (RESAMPLES, n)) for table in draws)
        drawn_taus = taus(one, other)
        low, high = (float(end) for end in np.nanquantile(drawn_taus, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
        low, high = min(low, tau), max(high, tau)
    return Agreement(tau, low, high, n, permutation_p(ours, others, tau), *in_order(ours, others))


def over_variants(ours: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Draws of variants with replacement, where these are a sample of many."""
    picked = np.random.default_rng(0).integers(len(ours), size=(RESAMPLES, len(ours)))
    return ours[picked], others[picked]


def in_order(ours: Floats, others: Floats) -> tuple[float, int]:
    """Pairs that are in the order of `others`, and pairs that differ in it."""
    first, second = (
        np.sign(np.subtract.outer(values, values))[np.triu_indices(len(ours), 1)] for values in (ours, others)
    )
    return float(((1 + first * second) / 2)[second != 0].sum()), int((second != 0).sum())


def permutation_p(ours: Floats, others: Floats, tau: float) -> float:
    """Two-sided p-value of tau: exact without ties or with few variants, otherwise of `RESAMPLES` permutations."""
    n = len(ours)
    if len(set(ours)) == len(set(others)) == n:
        return float(stats.kendalltau(ours, others, method="exact").pvalue)
    if n <= MOST_ENUMERATED:
        orders = np.array(list(permutations(range(n))))
    else:
        orders = np.random.default_rng(0).permuted(np.tile(np.arange(n), (RESAMPLES, 1)), axis=1)
        orders[0] = np.arange(n)
    found = taus(ours[orders], np.broadcast_to(others, orders.shape))
    return float((np.abs(found) >= abs(tau) - 1e-12).mean())


def taus(first: Floats, second: Floats) -> Floats:
    """Kendall's tau-b of each pair of rows; not a number if all values of a row are equal."""
    one, other = (np.sign(values[:, :, None] - values[:, None, :]) for values in (first, second))
    agreeing = np.einsum("rij,rij->r", one, other)
    untied = np.abs(one).sum(axis=(1, 2)) * np.abs(other).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = agreeing / np.sqrt(untied)
    return found
