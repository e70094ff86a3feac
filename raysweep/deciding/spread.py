"""The spread of runs between seeds, and intervals of a gain that allow for a variant less stable than the others.

Nearly all variants of a study share one standard deviation; a few are several times as noisy. A variance from two or
three runs cannot tell which is which, and a pooled one makes chance gains of a noisy variant look certain. So the
variance of each variant has two possible priors, after Smyth (2004) and Phipson et al. (2016): close to the pooled
variance, or far above it. The likelihood of the variant's own runs weighs the two, and the error of its mean is the
mixture of the two t distributions that follow. With few runs the second one matters and intervals are wide; after
four or so that agree with each other it is gone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

PRIOR_DF = 49.0  # how closely variances of stable variants agree, in degrees of freedom: limma's estimate on docs/study
UNSTABLE_RATIO, UNSTABLE_DF = (
    16.0,
    4.0,
)  # the variance of an unstable variant in terms of the pooled one, and how vaguely
UNSTABLE_SHARE = (
    0.1  # share of unstable variants; docs/study has 6 of 152, but a wrong claim costs more than a late one
)
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Runs:
    """Number, mean and variance of the values of runs that trained; variance is 0 for fewer than two."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Runs:
        """Summary of one or more values."""
        return cls(len(values), float(np.mean(values)), float(np.var(values, ddof=1)) if len(values) > 1 else 0.0)

    @property
    def df(self) -> int:
        """Degrees of freedom of the variance."""
        return self.n - 1


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance that stable variants share, and the degrees of freedom of its estimate."""

    variance: float
    df: float

    @property
    def prior_df(self) -> float:
        """Degrees of freedom that the shared variance contributes to that of a stable variant."""
        return min(self.df, PRIOR_DF)


def shared_spread(groups: Sequence[Runs], rounds: int = 20) -> Spread:
    """Pooled variance of the groups, weighted by their probabilities of being stable (expectation-maximisation).

    Raises:
        ValueError: no group has two runs.
    """
    df = np.array([group.df for group in groups if group.df > 0], dtype=float)
    if not len(df):
        raise ValueError("a spread needs two runs of some variant")
    variances = np.array([group.variance for group in groups if group.df > 0])
    # The median of a chi-squared variable of few degrees of freedom lies below its mean (Wilson and Hilferty 1931).
    start = (
        float(np.median(variances / (1 - 2 / (9 * df)) ** 3))
        if len(df) > 2
        else float(np.average(variances, weights=df))
    )
    spread = Spread(max(start, TINY), float(df.sum()))
    for _ in range(rounds):
        weight = df * (1 - unstable(df, variances, spread))
        spread = Spread(max(float(np.average(variances, weights=weight)), TINY), float(weight.sum()))
    return spread


def unstable(df: np.ndarray | float, variance: np.ndarray | float, spread: Spread) -> np.ndarray:
    """Posterior probability that a group of this variance belongs to the unstable ones."""
    ratio = np.maximum(np.asarray(variance) / spread.variance, TINY)
    stable = _log_f(ratio, df, spread.prior_df)
    noisy = _log_f(ratio / UNSTABLE_RATIO, df, UNSTABLE_DF) - math.log(UNSTABLE_RATIO)
    probability: np.ndarray = special.expit(noisy - stable + special.logit(UNSTABLE_SHARE))
    return probability


def _log_f(x: np.ndarray, df: np.ndarray | float, prior_df: float) -> np.ndarray:
    """Logarithm of the density of the F distribution."""
    half, prior = np.asarray(df) / 2, prior_df / 2
    density: np.ndarray = (
        half * np.log(half / prior)
        + (half - 1) * np.log(x)
        - (half + prior) * np.log1p(x * half / prior)
        - special.betaln(half, prior)
    )
    return density


@dataclass(frozen=True, slots=True)
class GainError:
    """The distribution of the error of an estimated gain: a mixture of two t distributions around 0."""

    weights: tuple[float, float]
    scales: tuple[float, float]
    df: tuple[float, float]

    @classmethod
    def of(cls, variant: Runs, baseline: Runs, spread: Spread) -> GainError:
        """The error of `variant.mean - baseline.mean`."""
        noisy = float(unstable(variant.df, variant.variance, spread)) if variant.df else UNSTABLE_SHARE
        priors = ((spread.prior_df, spread.variance), (UNSTABLE_DF, UNSTABLE_RATIO * spread.variance))
        df = [prior_df + variant.df for prior_df, _ in priors]
        own = [(d * v + variant.df * variant.variance) / (d + variant.df) for d, v in priors]
        scales = [math.sqrt(variance / variant.n + spread.variance / baseline.n) for variance in own]
        return cls((1 - noisy, noisy), (scales[0], scales[1]), (df[0], df[1]))

    @property
    def standard_error(self) -> float:
        """The root of the mean square of both parts' scales."""
        return math.sqrt(sum(weight * scale**2 for weight, scale in zip(self.weights, self.scales, strict=True)))

    def beyond(self, distance: float) -> float:
        """Probability of an error above `distance` in size."""
        parts = zip(self.weights, self.scales, self.df, strict=True)
        return 2 * sum(weight * float(special.stdtr(df, -abs(distance) / scale)) for weight, scale, df in parts)

    def half_width(self, level: float) -> float:
        """The distance that the error exceeds with probability `level`."""
        ends = [-scale * float(special.stdtrit(df, level / 2)) for scale, df in zip(self.scales, self.df, strict=True)]
        # Between the quantiles of the two parts, with room for rounding.
        low, high = 0.999 * min(ends), 1.001 * max(ends)
        return float(optimize.brentq(lambda distance: self.beyond(distance) - level, low, high))
