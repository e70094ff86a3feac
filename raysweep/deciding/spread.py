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
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

PRIOR_DF = 49.0
"""How closely variances of stable variants agree, in degrees of freedom: limma's estimate on docs/study."""
UNSTABLE_RATIO, UNSTABLE_DF = 16.0, 4.0
"""The variance of an unstable variant in terms of the pooled one, and the degrees of freedom of that guess."""
UNSTABLE_SHARE = 0.3
"""Share of unstable variants that a race assumes. docs/study has 6 of 152, but a wrong claim costs more than a late
one: with 0.1, a race of four variants, one of them five times as noisy, errs in 7 of 100 (800 simulated)."""
AGREEMENTS = (4.0, 6.0, 9.0, 14.0, 20.0, 30.0, PRIOR_DF, 100.0, 200.0)
PRIOR_GROUPS = 20
"""Fewest groups that tell how closely their variances agree, and the weight of `PRIOR_SHARE` in groups."""
PRIOR_SHARE = 0.2
"""Share of unstable variants before any is seen: of few variants that are judged together one may be."""
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
    agreement: float = PRIOR_DF
    """How closely variances of stable variants agree, in degrees of freedom."""
    unstable_share: float = UNSTABLE_SHARE

    @property
    def prior_df(self) -> float:
        """Degrees of freedom that the shared variance contributes to that of a stable variant."""
        return min(self.df, self.agreement)


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


def fitted_spread(groups: Sequence[Runs]) -> Spread:
    """The shared spread, with the agreement of stable variants and the share of unstable ones fitted to the groups.

    The agreement is the one of `AGREEMENTS` with the highest likelihood, or `PRIOR_DF` with fewer than `PRIOR_GROUPS`
    groups. The share is that of the groups together with `PRIOR_GROUPS` others that have `PRIOR_SHARE`.

    Raises:
        ValueError: no group has two runs.
    """
    spread = shared_spread(groups)
    df = np.array([group.df for group in groups if group.df > 0], dtype=float)
    variances = np.array([group.variance for group in groups if group.df > 0])
    for _ in range(2):
        noisy = unstable(df, variances, spread)
        share = (float(noisy.sum()) + PRIOR_SHARE * PRIOR_GROUPS) / (len(df) + PRIOR_GROUPS)
        ratio = np.maximum(variances / spread.variance, TINY)
        fits = [float(((1 - noisy) * _log_f(ratio, df, agreement)).sum()) for agreement in AGREEMENTS]
        best = AGREEMENTS[int(np.argmax(fits))] if len(df) >= PRIOR_GROUPS else PRIOR_DF
        spread = Spread(spread.variance, spread.df, best, share)
    return spread


def unstable(df: np.ndarray | float, variance: np.ndarray | float, spread: Spread) -> np.ndarray:
    """Posterior probability that a group of this variance belongs to the unstable ones."""
    ratio = np.maximum(np.asarray(variance) / spread.variance, TINY)
    stable = _log_f(ratio, df, spread.prior_df)
    noisy = _log_f(ratio / UNSTABLE_RATIO, df, UNSTABLE_DF) - math.log(UNSTABLE_RATIO)
    probability: np.ndarray = special.expit(noisy - stable + special.logit(spread.unstable_share))
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


class Side(NamedTuple):
    """A variance of a variant as stable and as unstable ones have it: probability, value, degrees of freedom."""

    weight: float
    variance: float
    df: float


def sides(runs: Runs, spread: Spread) -> tuple[Side, Side]:
    """The two moderated variances of the runs of a variant."""
    noisy = float(unstable(runs.df, runs.variance, spread)) if runs.df else spread.unstable_share
    priors = (
        (1 - noisy, spread.prior_df, spread.variance),
        (noisy, UNSTABLE_DF, UNSTABLE_RATIO * spread.variance),
    )
    stable, other = (
        Side(weight, (df * variance + runs.df * runs.variance) / (df + runs.df), df + runs.df)
        for weight, df, variance in priors
    )
    return stable, other


def gain_interval(variant: Runs, baseline: Runs, spread: Spread, level: float) -> tuple[float, float, float]:
    """The gain of a variant, and the ends of its interval at a two-sided level."""
    gain, half = variant.mean - baseline.mean, GainError.of(variant, baseline, spread).half_width(level)
    return gain, gain - half, gain + half


@dataclass(frozen=True, slots=True)
class GainError:
    """The distribution of the error of an estimated gain: a mixture of t distributions around 0."""

    weights: tuple[float, ...]
    scales: tuple[float, ...]
    df: tuple[float, ...]

    @classmethod
    def of(cls, variant: Runs, baseline: Runs | None, spread: Spread) -> GainError:
        """The error of `variant.mean - baseline.mean` of a stable baseline, or of the mean without one."""
        own = sides(variant, spread)
        rest = spread.variance / baseline.n if baseline else 0.0
        scales = tuple(math.sqrt(side.variance / variant.n + rest) for side in own)
        return cls(tuple(side.weight for side in own), scales, tuple(side.df for side in own))

    @classmethod
    def between(
        cls, one: Runs, other: Runs, spread: Spread, shares: tuple[float, float], shared: float = 0.0
    ) -> GainError:
        """The error of a difference of weighted means, each of which may be unstable.

        Args:
            one: runs of one variant.
            other: runs of the variant that it is compared with.
            spread: what they share.
            shares: sums of the squared weights of the runs of each.
            shared: covariance of the two weighted means over the product of the two standard deviations.
        """
        parts = []
        for a, b in product(sides(one, spread), sides(other, spread)):
            own, rest = a.variance * shares[0], b.variance * shares[1]
            scale = math.sqrt(max(own + rest - 2 * shared * math.sqrt(a.variance * b.variance), TINY**2))
            df = (own + rest) ** 2 / (own**2 / a.df + rest**2 / b.df)  # Welch and Satterthwaite
            parts.append((a.weight * b.weight, scale, df))
        weights, scales, df_of = zip(*parts, strict=True)
        return cls(weights, scales, df_of)

    @property
    def standard_error(self) -> float:
        """The root of the mean square of the scales."""
        return math.sqrt(sum(weight * scale**2 for weight, scale in zip(self.weights, self.scales, strict=True)))

    @property
    def mean_df(self) -> float:
        """The mean degrees of freedom of the parts."""
        return sum(weight * df for weight, df in zip(self.weights, self.df, strict=True))

    def beyond(self, distance: float) -> float:
        """Probability of an error above `distance` in size."""
        parts = zip(self.weights, self.scales, self.df, strict=True)
        return 2 * sum(weight * float(special.stdtr(df, -abs(distance) / scale)) for weight, scale, df in parts)

    def half_width(self, level: float) -> float:
        """The distance that the error exceeds with probability `level`."""
        ends = [-scale * float(special.stdtrit(df, level / 2)) for scale, df in zip(self.scales, self.df, strict=True)]
        # Between the quantiles of the parts, with room for rounding.
        low, high = 0.999 * min(ends), 1.001 * max(ends)
        return float(optimize.brentq(lambda distance: self.beyond(distance) - level, low, high))
