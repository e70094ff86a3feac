"""Means, gains over the baseline, their intervals and p-values.

Gains are paired by seed. A seed is a block: top-1 of variant v at seed s is taken as block_s + mean_v + error, errors
of one standard deviation. It is estimated over all variants and seeds of the line from what is left when seeds and
variants are removed, with that many degrees of freedom; trials that several variants share count once. A variant's gain
is the mean of its differences to the baseline over the seeds that both finished. Intervals and p-values are Dunnett's:
they hold for all variants of a line at once. One seed has neither.

The errors are doubtful where Shapiro and Wilk's test at 1 % says that they are not normal. Then a variant of
`LEAST_FOR_BOOTSTRAP` seeds or more is called different only where the bootstrap interval of its mean gain (BCa, at
Bonferroni's level) excludes 0 too; fewer seeds have too few distinct resamples, and the report says that its p-values
are approximate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.load import DIVERGED, FINISHED, Line, once_a_line
from analysis.metrics import METRICS, Metric
from analysis.statistics.dunnett import EQUAL_LOAD, adjusted, critical

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
FAR = 3.0
MEAN_INTERVAL = f"{CONFIDENCE:.0%} Student-t interval".replace("%", " %")
"""The name of the interval of a mean over seeds, and of a difference that is paired by seed."""
INTERVAL = f"simultaneous {CONFIDENCE:.0%} interval (Dunnett)".replace("%", " %")
"""The name of the interval of a gain over the baseline."""
DOUBTFUL_P = 0.01
LEAST_FOR_BOOTSTRAP = 8
RESAMPLES = 9999
ROUND_OFF = 1e-9
"""Points that arithmetic alone makes of equal results."""
MOST_TESTED = 5000
"""Errors that Shapiro and Wilk's test is good for."""
BETTER, WORSE, SAME = "better", "worse", "not distinguishable"
UNSTABLE, ONE_SEED, NOTHING = "not better: diverged", "one seed", "not compared"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over n values with the half-width of its interval; no half-width for fewer than two values."""

    mean: float
    half: float
    n: int

    @property
    def excludes_0(self) -> bool:
        """Whether the whole interval is on one side of 0; never without an interval."""
        return not math.isnan(self.half) and abs(self.mean) > self.half

    def text(self, metric: Metric) -> str:
        """The mean with its half-width, the mean alone where there is none, or a dash."""
        return metric.text(self.mean) + ("" if math.isnan(self.half) else f" ± {self.half:.1f}")


@dataclass(frozen=True)
class Comparison:
    """One variant against the baseline of its line, in points of top-1."""

    gain: Estimate
    p: float
    """Adjusted for all variants of the line; not a number where fewer than two seeds can be compared."""
    diverged: int
    trials: int
    bootstrap: tuple[float, float] | None = None
    """Ends of the BCa interval, where the errors are doubtful and there are seeds enough."""

    def verdict(self, p: float | None = None) -> str:
        """What may be said; `p` in place of its own where it was adjusted for other lines too.

        A variant that diverged under some seed is never better: the seeds that are left are its luckiest.
        """
        if math.isnan(self.p):
            return ONE_SEED if self.gain.n else NOTHING
        level = self.p if p is None else p
        if level > LEVEL or (self.bootstrap and self.bootstrap[0] <= 0 <= self.bootstrap[1]):
            return SAME
        if self.gain.mean < 0:
            return WORSE
        return UNSTABLE if self.diverged else BETTER


@dataclass(frozen=True)
class Comparisons:
    """All variants of a line against its baseline."""

    of: Mapping[str, Comparison]
    """Variant -> comparison, the baseline left out."""
    sd: float
    """Standard deviation of one trial's top-1 within its block, points; not a number without two seeds."""
    df: int
    normal_p: float
    """Of Shapiro and Wilk's test of the errors; not a number where there are too few."""

    @property
    def family(self) -> list[str]:
        """Variants that are compared: two seeds or more."""
        return [name for name, one in self.of.items() if not math.isnan(one.p)]

    @property
    def seeds(self) -> int:
        """Most seeds of any comparison."""
        return max((one.gain.n for one in self.of.values()), default=0)

    @property
    def doubtful(self) -> bool:
        """Whether the errors are not normal."""
        return self.normal_p < DOUBTFUL_P

    @property
    def smallest_p(self) -> float:
        """That of the line as a whole: that no variant differs. 1 where nothing is compared."""
        return min((self.of[name].p for name in self.family), default=1.0)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student-t interval of independent values."""
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else math.nan, math.nan, n)
    series = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * series.std(ddof=1) / math.sqrt(n)
    return Estimate(float(series.mean()), float(half), n)


def near(values: pd.Series, far: float = FAR) -> pd.Series:
    """The values within `far` interquartile ranges of the quartiles: what an axis is scaled to."""
    first, third = values.quantile(0.25), values.quantile(0.75)
    unit = max(third - first, 0.05 * (values.max() - values.min()))
    return values[values.between(first - far * unit, third + far * unit)]


def tops(line: Line) -> pd.DataFrame:
    """Final top-1 in points: one row a seed, one column a variant; none where a trial has not finished."""
    table = line.finished.pivot_table(index="seed", columns="variant", values="top1")
    return 100 * table.reindex(columns=line.variants)  # as `points`, all columns at once


def comparable_tops(line: Line) -> pd.DataFrame:
    """`tops` of the seeds that any variant but the baseline has finished, for orders of variants.

    A baseline with more seeds than all others would otherwise be placed by other seeds than they are.
    """
    table = tops(line)
    return table[table.drop(columns=line.baseline).notna().any(axis=1)].dropna(axis=1, how="all")


def seed_gains(line: Line) -> dict[str, list[float]]:
    """Variant -> gain of each seed in points of top-1; a seed counts where the variant and the baseline finished."""
    return _seed_gains(tops(line), line.baseline)


def _seed_gains(table: pd.DataFrame, baseline: str) -> dict[str, list[float]]:
    differences = table.sub(table[baseline], axis=0).to_numpy(dtype=float)  # all columns at once
    return {
        variant: [float(gain) for gain in column if not math.isnan(gain)]
        for variant, column in zip(table.columns, differences.T, strict=True)
    }


@once_a_line
def comparisons(line: Line) -> Comparisons:
    """Every variant against the baseline."""
    table = tops(line)
    of_seeds = _seed_gains(table, line.baseline)
    del of_seeds[line.baseline]
    residuals, df = errors(_distinct(line, table))
    sd = math.sqrt(float((residuals**2).sum()) / df) if df else math.nan
    normal_p = _normal_p(residuals) if df else math.nan
    tested = dunnett_tests(of_seeds, sd, df)
    counts = Counter(zip(line.trials["variant"], line.trials["status"], strict=True))
    trials = Counter(line.trials["variant"])
    doubtful = normal_p < DOUBTFUL_P
    found = {
        variant: Comparison(
            *tested.get(variant, (estimate(values[:1]) if values else estimate([]), math.nan)),
            counts[variant, DIVERGED],
            trials[variant],
            bca(values, len(tested)) if doubtful and len(values) >= LEAST_FOR_BOOTSTRAP else None,
        )
        for variant, values in of_seeds.items()
    }
    return Comparisons(found, sd, df, normal_p)


def gains(line: Line) -> dict[str, Estimate]:
    """Variant -> gain in points of top-1 over the baseline, with Dunnett's simultaneous interval."""
    found = comparisons(line).of
    own = Estimate(0.0, math.nan, len(tops(line)[line.baseline].dropna()))
    return {variant: found[variant].gain if variant in found else own for variant in line.variants}


def contrast(line: Line, variant: str, against: str) -> tuple[Estimate, float]:
    """Gain of one variant over another of the same line, in points, paired by seed, and its p; a single comparison.

    With the errors of the whole line. No interval and no p with fewer than two seeds.
    """
    table, found = tops(line), comparisons(line)
    values = (table[variant] - table[against]).dropna().tolist()
    if len(values) < 2 or not found.df:
        return estimate(values[:1]), math.nan
    mean, error = float(np.mean(values)), found.sd * math.sqrt(2 / len(values))
    p = 2 * float(stats.t.sf(abs(mean) / error, found.df)) if error else float(mean == 0)
    return Estimate(mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, found.df)) * error, len(values)), p


def _distinct(line: Line, table: pd.DataFrame) -> Floats:
    """Top-1 by seed and variant, variants that are the same trials as another left out."""
    trials = line.finished.groupby("variant")["trial"].agg(frozenset)
    first = trials.drop_duplicates().index
    return table[[variant for variant in table.columns if variant in first]].to_numpy(dtype=float)


def errors(table: Floats) -> tuple[Floats, int]:
    """What is left of a table (seeds by variants, gaps allowed) without seeds and variants, and its degrees of freedom.

    Least squares. Seeds and variants of one value tell nothing of errors and are left out.
    """
    known = ~np.isnan(table)
    while known.size and (few := (known.sum(axis=0) < 2)).any() | (lone := (known.sum(axis=1) < 2)).any():
        table = table[~lone][:, ~few]
        known = ~np.isnan(table)
    if not known.size:
        return np.empty(0), 0
    seed, variant = np.nonzero(known)
    design = np.hstack([np.eye(table.shape[0])[seed], np.eye(table.shape[1])[variant][:, 1:]])
    values = table[known]
    found, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ found
    residuals[np.abs(residuals) < ROUND_OFF] = 0
    return residuals, len(values) - int(rank)


def _normal_p(residuals: Floats) -> float:
    if len(residuals) < 3 or not residuals.any():
        return math.nan
    return float(stats.shapiro(residuals[:MOST_TESTED]).pvalue)


def dunnett_tests(of_seeds: Mapping[str, Sequence[float]], sd: float, df: int) -> dict[str, tuple[Estimate, float]]:
    """Variant -> mean gain with its interval, and its p; of those with two seeds or more.

    `sd` and `df`: of the errors, see `errors`.
    """
    family = {variant: values for variant, values in of_seeds.items() if len(values) > 1} if df else {}
    if not family:
        return {}
    n = np.array([len(values) for values in family.values()])
    means = np.array([np.mean(values) for values in family.values()])
    errors_of_mean = sd * np.sqrt(2 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = np.nan_to_num(means / errors_of_mean, nan=0.0, posinf=np.inf, neginf=-np.inf)
    # Exact with at most one gap; with more, two variants are taken to share as many seeds as chance has them share.
    loads = EQUAL_LOAD * np.sqrt(n / n.max())
    halves = critical(loads, df, CONFIDENCE) * errors_of_mean
    p = adjusted(statistics, loads, df)
    found = zip(family, means, halves, n, p, strict=True)
    return {variant: (Estimate(float(m), float(h), int(k)), float(q)) for variant, m, h, k, q in found}


def bca(values: Sequence[float], comparisons: int) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of a mean, at Bonferroni's level for so many comparisons."""
    if max(values) - min(values) < 1e-12:
        return values[0], values[0]
    level = 1 - LEVEL / max(comparisons, 1)
    drawn = np.random.default_rng(0)
    found: Any = stats.bootstrap(
        (np.asarray(values),), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="BCa", rng=drawn
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def top1(line: Line) -> dict[str, Estimate]:
    """Variant -> top-1 after the last epoch, in points, over its finished seeds."""
    finished = line.finished.assign(points=METRICS["top1"].of)
    values = finished.groupby("variant")["points"].apply(list).to_dict()
    return {variant: estimate(values.get(variant, [])) for variant in line.variants}


def ends(trials: pd.DataFrame, but: str = "") -> dict[str, str]:
    """Variant -> how many of its trials stand how, of those variants that have any; one status may be left out."""
    counts = Counter(zip(trials["variant"], trials["status"], strict=True))
    totals = Counter(trials["variant"])
    said: dict[str, list[str]] = {}
    for (variant, status), count in sorted(counts.items()):
        if status != but:
            said.setdefault(variant, []).append(f"{_share(count, totals[variant])} {status}")
    return {variant: ", ".join(words) for variant, words in said.items()}


def _share(count: int, total: int) -> str:
    return str(count) if count == total else f"{count} of {total}"


def unfinished(line: Line) -> dict[str, str]:
    """Variant -> the statuses of its trials that have not finished, with their counts; only variants with any."""
    return ends(line.trials, but=FINISHED)
