"""Contrasts: the runs of a variant against those of another, estimated and judged once for all that is shown together.

The model: top-1 of a run is the mean of its variant, an effect of its seed, and an error. Seeds are random effects with
one variance in each pool of runs; the estimate of a gain is the generalised least-squares one from all runs of both
variants. Where seeds explain nothing, it is the difference of the means.

Variances are moderated: each variant has its own, drawn towards the variance of its pool as far as the variances of the
pool agree with each other; an unstable variant keeps its own (`raysweep.deciding.spread`).

Differences (better, worse) are chosen by the step-up rule of Benjamini and Hochberg (1995) over all contrasts with a
baseline. With R differences of m contrasts, the coverage of every interval is 1 - R/m x 5 % (Benjamini and Yekutieli
2005): it excludes 0 exactly if the verdict is better or worse, and exactly if the adjusted p is at most 5 %. At most
5 % of the claims, equal ones among them, are expected to be wrong.

Where `raysweep decide` has asked about a variant, its verdict is the contrast: estimate, interval and margin are those
of its last look. It has looked at these runs again and again, so that no other interval of them would hold; and it has
its own error rate, so that its contrasts are none of the m.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raysweep.deciding.spread import GainError, Runs, Spread, fitted_spread, sides, unstable
from raysweep.deciding.verdicts import Outcome, Verdict, check_margin, fails_more, outcome_of, rate_p

LEVEL = 0.05
MARGIN = 1.0
ONE_SEED, NOTHING = "one seed", "not compared"
MOST_SHARED = 0.95
"""Largest share of the variance that seeds are taken to explain."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """The runs of one variant that have ended."""

    trials: frozenset[str]
    pool: str
    """Runs of one pool share a variance."""
    values: Mapping[int, float]
    """Seed -> value of each run that trained."""
    failed: int = 0
    """Number of runs that did not train."""

    @property
    def ended(self) -> int:
        """Number of runs."""
        return len(self.values) + self.failed

    @cached_property
    def runs(self) -> Runs:
        """The summary of the runs that trained, at least one."""
        return Runs.of(list(self.values.values()))


@dataclass(frozen=True, slots=True)
class Contrast:
    """A gain and what may be claimed of it; see `Verdict` of `raysweep.deciding` for one that is followed in time."""

    gain: float
    """Over the runs that trained; not a number if either variant has none."""
    half: float
    """Half-width of the interval; not a number with fewer than two runs of either variant that trained."""
    p: float
    """Adjusted for all contrasts of the page, see `Contrasts`; not a number if `raced`."""
    verdict: str
    """An `Outcome`, `ONE_SEED` or `NOTHING`."""
    n: int
    """Number of runs of the variant that trained."""
    failed: int
    ended: int
    rate_p: float
    """p-value of Fisher's exact test that the variant fails more often."""
    error: float
    """Standard error of the gain; not a number without an interval."""
    sd: float
    """Root of the summed variances of one run of each; not a number without an interval, or if `raced`."""
    df: float
    """Degrees of freedom of the standard error."""
    margin: float = MARGIN
    """The smallest gain that matters to the verdict, in points."""
    raced: bool = False
    """Whether it is that of the last look of `raysweep decide`."""

    @property
    def decided(self) -> bool:
        """Whether the interval supports a claim about the gain."""
        return self.verdict in (Outcome.BETTER, Outcome.WORSE, Outcome.EQUAL)

    @property
    def trained(self) -> bool:
        """Whether the gain counts as one of the variant: some run trained, and failures are no more than chance."""
        return self.n > 0 and self.verdict != Outcome.DID_NOT_TRAIN

    @property
    def tested(self) -> bool:
        """Whether there is an interval of the gain."""
        return not math.isnan(self.half)


class Raced(NamedTuple):
    """What `raysweep decide` says of a variant."""

    verdict: Verdict
    """Of its last look, or that of no look."""
    margin: float

    def mirrored(self, baseline: Group) -> Raced:
        """The same of the baseline against the variant."""
        now = self.verdict
        if not now.runs:
            return self
        outcome = outcome_of(-now.high, -now.low, self.margin)
        return Raced(Verdict(outcome, -now.gain, -now.high, -now.low, baseline.ended, baseline.failed), self.margin)


Pair = tuple[frozenset[str], frozenset[str]]
"""The trials of two variants."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A difference and the distribution of its error, before anything is claimed."""

    gain: float
    error: GainError | None
    sd: float = math.nan

    @property
    def p(self) -> float:
        return self.error.beyond(self.gain) if self.error else math.nan

    @property
    def standard_error(self) -> float:
        return self.error.standard_error if self.error else math.nan

    @property
    def df(self) -> float:
        return self.error.mean_df if self.error else math.nan


@dataclass
class Contrasts:
    """All contrasts of a page. Equal runs have equal contrasts, wherever they are shown."""

    family: Sequence[tuple[Group, Group]]
    """Each variant with its baseline; pairs of the same runs count once."""
    margin: float = MARGIN
    raced: Mapping[Pair, Raced] = field(default_factory=dict)
    """The contrasts that `raysweep decide` judges."""
    known: dict[Pair, Contrast] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_margin(self.margin)
        self.groups = list({group.trials: group for pair in self.family for group in pair}.values())
        self.spreads = {name: spread for name, own in _pools(self.groups).items() if (spread := _spread(own))}
        self.shared = {name: seed_share(_pools(self.groups)[name], spread) for name, spread in self.spreads.items()}
        pairs = {(one.trials, other.trials): (one, other) for one, other in self.family}.values()
        tested = [
            found
            for one, other in pairs
            if (one.trials, other.trials) not in self.raced
            and not fails_more(one.failed, one.ended, other.failed, other.ended, LEVEL)
            and (found := self._measure(one, other)).error
        ]
        self.ordered = np.sort([found.p for found in tested])

    @property
    def tested(self) -> int:
        """Number of distinct contrasts of a variant with its baseline that have an interval."""
        return len(self.ordered)

    @property
    def different(self) -> int:
        """Number of differences: the largest R such that R contrasts have a p of at most R/m x 5 %."""
        enough = np.nonzero(self.ordered <= LEVEL * np.arange(1, self.tested + 1) / max(self.tested, 1))[0]
        return int(enough[-1]) + 1 if len(enough) else 0

    @cached_property
    def level(self) -> float:
        """The level of each interval, two-sided: one minus its coverage."""
        return LEVEL * max(self.different, 1) / max(self.tested, 1)

    def contrast(self, one: Group, other: Group) -> Contrast:
        """The contrast of two variants; the other way round has the same numbers with the opposite sign."""
        key = one.trials, other.trials
        if key not in self.known:
            self.known[key] = self._judge(one, other)
        return self.known[key]

    def mean(self, group: Group) -> tuple[float, float]:
        """The mean of the runs that trained, and the half-width of its own 95 % interval."""
        if not group.values:
            return math.nan, math.nan
        error = self.error(group)
        return group.runs.mean, error.half_width(LEVEL) if error and group.runs.df else math.nan

    def error(self, group: Group) -> GainError | None:
        """The distribution of the error of the mean of a group."""
        spread = self.spreads.get(group.pool)
        return GainError.of(group.runs, None, spread) if spread and group.values else None

    def _raced(self, one: Group, other: Group) -> Raced | None:
        back = self.raced.get((other.trials, one.trials))
        return self.raced.get((one.trials, other.trials)) or (back and back.mirrored(one))

    def _judge(self, one: Group, other: Group) -> Contrast:
        found = self._measure(one, other)
        if raced := self._raced(one, other):
            return _as_raced(raced, one, found)
        half = found.error.half_width(self.level) if found.error else math.nan
        fails = one.failed, one.ended, other.failed, other.ended
        verdict: str = ONE_SEED if one.values and other.values else NOTHING
        if fails_more(*fails, LEVEL):
            verdict = Outcome.DID_NOT_TRAIN
        elif found.error:
            verdict = outcome_of(found.gain - half, found.gain + half, self.margin)
        rate = rate_p(*fails) if one.failed else math.nan
        return Contrast(
            gain=found.gain,
            half=half,
            p=self._adjusted(found.p),
            verdict=verdict,
            n=len(one.values),
            failed=one.failed,
            ended=one.ended,
            rate_p=rate,
            error=found.standard_error,
            sd=found.sd,
            df=found.df,
            margin=self.margin,
        )

    def _adjusted(self, p: float) -> float:
        """The smallest share of wrong differences to be controlled at which this one is among them."""
        if math.isnan(p) or not self.tested:
            return p
        ranks = np.arange(1, self.tested + 1)
        return float(min(1.0, np.min(self.tested / ranks * np.maximum(self.ordered, p))))

    def _measure(self, one: Group, other: Group) -> _Measured:
        spread = self.spreads.get(one.pool)
        if not one.values or not other.values:
            return _Measured(math.nan, None)
        own, rest = weights(list(one.values), list(other.values), self.shared.get(one.pool, 0.0))
        gain = float(own @ [*one.values.values()] - rest @ [*other.values.values()])
        if spread is None or not one.runs.df or not other.runs.df:
            return _Measured(gain, None)
        common = sum(
            a * b * (s == t)
            for a, s in zip(own, one.values, strict=True)
            for b, t in zip(rest, other.values, strict=True)
        )
        shares = float(own @ own), float(rest @ rest)
        error = GainError.between(one.runs, other.runs, spread, shares, self.shared[one.pool] * float(common))
        variance = sum(side.weight * side.variance for group in (one, other) for side in sides(group.runs, spread))
        return _Measured(gain, error, math.sqrt(variance))


def _as_raced(raced: Raced, one: Group, found: _Measured) -> Contrast:
    """The contrast of a verdict. Without any look it is undecided, with the gain so far."""
    verdict, margin = raced
    failed, ended = (verdict.failed, verdict.runs) if verdict.runs else (one.failed, one.ended)
    return Contrast(
        gain=verdict.gain if verdict.runs else found.gain,
        half=(verdict.high - verdict.low) / 2 if math.isfinite(verdict.high - verdict.low) else math.nan,
        p=math.nan,
        verdict=verdict.outcome,
        n=ended - failed,
        failed=failed,
        ended=ended,
        rate_p=math.nan,
        error=found.standard_error,
        sd=math.nan,
        df=found.df,
        margin=margin,
        raced=True,
    )


def _pools(groups: Iterable[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.pool, []).append(group)
    return found


def _spread(groups: Sequence[Group]) -> Spread | None:
    runs = [group.runs for group in groups if len(group.values) > 1]
    return fitted_spread(runs) if runs else None


def weights(seeds: Sequence[int], other: Sequence[int], share: float) -> tuple[Floats, Floats]:
    """Weights of the runs of two variants in the best estimate of the difference of their means.

    `share` is the share of the variance that a seed explains, so the correlation of two runs with one seed.
    """
    same = np.equal.outer([*seeds, *other], [*seeds, *other])
    correlation = np.where(same, share, 0.0) + (1 - share) * np.eye(len(same))
    first = np.arange(len(same)) < len(seeds)
    design = np.column_stack([first, ~first]).astype(float)
    left = np.linalg.solve(correlation, design)
    found = left @ np.linalg.solve(design.T @ left, np.array([1.0, -1.0]))
    return found[first], -found[~first]


def seed_share(groups: Sequence[Group], spread: Spread) -> float:
    """The share of the variance of stable variants that seeds explain, 0 to `MOST_SHARED`.

    The moment estimate from products of residuals of two variants with one seed; in a table without gaps it is the
    estimate of restricted maximum likelihood (REML).
    """
    stable = [
        group
        for group in groups
        if len(group.values) > 1 and unstable(group.runs.df, group.runs.variance, spread) < 0.5
    ]
    if len(stable) < 2:
        return 0.0
    seeds = sorted({seed for group in stable for seed in group.values})
    known = np.array([[seed in group.values for seed in seeds] for group in stable], dtype=float)
    residuals = np.array(
        [[group.values.get(seed, group.runs.mean) - group.runs.mean for seed in seeds] for group in stable]
    )
    overlap, n = known @ known.T, known.sum(axis=1)
    expected = overlap * (1 - np.add.outer(1 / n, 1 / n) + overlap / np.outer(n, n))
    products = residuals @ residuals.T
    others = ~np.eye(len(stable), dtype=bool)
    total = float(expected[others].sum())
    return float(np.clip(products[others].sum() / total / spread.variance, 0.0, MOST_SHARED)) if total > 0 else 0.0
