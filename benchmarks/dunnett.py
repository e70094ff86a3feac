"""Dunnett's distribution: the largest of several t statistics that share one baseline and one estimate of variance.

Charles Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 1955. Statistic
i is (load_i * z + sqrt(1 - load_i^2) * z_i) / s, where z is the baseline's error, z_i the variant's own, and s the
estimate of their standard deviation; the correlation of two statistics is the product of their loads. The integral over
z and s is computed by quadrature: the result is deterministic and takes milliseconds for any number of variants.
`scipy.stats.dunnett` knows no blocks and integrates by random sampling.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Floats = npt.NDArray[np.float64]
EQUAL_LOAD = math.sqrt(0.5)
"""The load of a variant with as many values as the baseline."""
NODES = 96
"""Number of nodes of each integral, with which p-values are accurate to 2e-5."""


def within(bounds: npt.ArrayLike, loads: Floats, df: float) -> Floats:
    """Probability that all statistics lie within plus and minus a bound, for each bound (>= 0)."""
    z, z_weights = _normal()
    s, s_weights = _scale(df)
    scaled = np.minimum(np.atleast_1d(bounds).astype(float), 1e9)[:, None] * s
    inside = np.ones((*scaled.shape, z.size))
    # Most variants have the same load, and so the same factor.
    for load, count in zip(*np.unique(loads, return_counts=True), strict=True):
        own = math.sqrt(1 - load**2)
        shift = load * z
        upper = special.ndtr((scaled[..., None] - shift) / own)
        inside *= (upper - special.ndtr((-scaled[..., None] - shift) / own)) ** count
    found: Floats = np.einsum("bsz,s,z->b", inside, s_weights, z_weights)
    return found


def adjusted(statistics: Floats, loads: Floats, df: float) -> Floats:
    """Two-sided p-value of each statistic, adjusted for their number."""
    found: Floats = np.clip(1 - within(np.abs(statistics), loads, df), 0, 1)
    return found


def critical(loads: Floats, df: float, confidence: float) -> float:
    """The bound within which all statistics lie with this probability."""
    return _critical(tuple(sorted(map(float, loads))), df, confidence)


@cache
def _critical(loads: tuple[float, ...], df: float, confidence: float) -> float:
    miss = (1 - confidence) / 2
    low, high = stats.t.isf([miss, miss / len(loads)], df)  # the bounds for one statistic, and Bonferroni's
    if len(loads) == 1:
        return float(low)
    excess = lambda bound: float(within(bound, np.array(loads), df)[0]) - confidence  # noqa: E731
    return float(optimize.brentq(excess, 0.99 * low, 1.01 * high, xtol=1e-7))


@cache
def _normal() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / math.sqrt(2 * math.pi)


@cache
def _scale(df: float) -> tuple[Floats, Floats]:
    """Nodes, at the quantiles of the estimated standard deviation over the true one, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    quantiles: Any = stats.chi2.ppf((nodes + 1) / 2, df)
    return np.sqrt(quantiles / df), weights / 2
