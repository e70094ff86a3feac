"""Means, gains over the baseline, their intervals and p-values.

Gains are paired by seed. A seed is a block: the model is top-1 of variant v at seed s = block_s + mean_v + error, and
all errors have the same standard deviation. It is estimated from the residuals over all variants and seeds of the line;
trials that several variants share count once. The gain of a variant is the mean of its differences from the baseline
over the seeds that both finished. Intervals and p-values are Dunnett's: they hold for all variants of a line at once.
With one seed there is neither.

The errors are doubtful if the Shapiro-Wilk test at 1 % rejects a normal distribution. Then a variant with at least
`LEAST_FOR_BOOTSTRAP` seeds is called different only if the bootstrap interval of its mean gain (BCa, at Bonferroni's
level) also excludes 0. Fewer seeds have too few distinct resamples; the report then states that p-values are
approximate.
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

from raysweep.analysis.load import DIVERGED, FINISHED, Line, once_a_line
from raysweep.analysis.metrics import METRICS, Metric
from raysweep.analysis.statistics.dunnett import EQUAL_LOAD, adjusted, critical

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
"""Points below which a residual is rounding error."""
MOST_TESTED = 5000
"""Most errors for which the Shapiro-Wilk test is valid."""
BETTER, WORSE, SAME = "better", "worse", "not distinguishable"
UNSTABLE, ONE_SEED, NOTHING = "not better: diverged", "one seed", "not compared"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over n values with the half-width of its interval, which is not a number for fewer than two values."""

    mean: float
    half: float
    n: int

    def row(self, name: str = "gain") -> dict[str, float]:
        """The columns of a figure's frame: the mean under a name, `half` and `n`."""
        return {name: self.mean, "half": self.half, "n": self.n}

    @property
    def excludes_0(self) -> bool:
        """Whether the whole interval is on one side of 0; False without an interval."""
        return not math.isnan(self.half) and abs(self.mean) > self.half

    def text(self, metric: Metric) -> str:
        """The mean with its half-width if there is one, or a dash."""
        return metric.text(self.mean) + ("" if math.isnan(self.half) else f" ± {self.half:.1f}")


@dataclass(frozen=True)
class Comparison:
    """One variant against the baseline of its line, in points of top-1."""

    gain: Estimate
    p: float
    """Adjusted for all variants of the line; not a number if fewer than two seeds can be compared."""
    diverged: int
    trials: int
    bootstrap: tuple[float, float] | None = None
    """Ends of the BCa interval, if the errors are doubtful and there are enough seeds."""

    def verdict(self, p: float | None = None) -> str:
        """The verdict at its own p-value, or at `p`, which may be adjusted for other lines too.

        A variant that diverged with any seed is never called better: the remaining seeds are its luckiest.
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
    """Variant -> comparison, without the baseline."""
    sd: float
    """Standard deviation of the top-1 of one trial within its block, in points; not a number with one seed."""
    df: int
    normal_p: float
    """p-value of the Shapiro-Wilk test of the errors; not a number if there are too few."""

    @property
    def family(self) -> list[str]:
        """The variants that are compared, which have at least two seeds."""
        return [name for name, one in self.of.items() if not math.isnan(one.p)]

    @property
    def seeds(self) -> int:
        """The largest number of seeds of any comparison."""
        return max((one.gain.n for one in self.of.values()), default=0)

    @property
    def doubtful(self) -> bool:
        """Whether the errors are unlikely to be normally distributed."""
        return self.normal_p < DOUBTFUL_P

    @property
    def smallest_p(self) -> float:
        """The p-value of the hypothesis that no variant differs; 1 if nothing is compared."""
        return min((self.of[name].p for name in self.family), default=1.0)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student-t interval of independent values."""
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else math.nan, math.nan, n)
    series = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * series.std(ddof=1) / math.sqrt(n)
    return Estimate(float(series.mean()), float(half), n)


def near(values: pd.Series) -> pd.Series:
    """The values within `FAR` interquartile ranges of the quartiles, which an axis is scaled to."""
    first, third = values.quantile(0.25), values.quantile(0.75)
    unit = max(third - first, 0.05 * (values.max() - values.min()))
    return values[values.between(first - FAR * unit, third + FAR * unit)]


@once_a_line
def tops(line: Line) -> pd.DataFrame:
    """Final top-1 in points: one row per seed, one column per variant; NaN for trials that have not finished."""
    table = line.finished.pivot_table(index="seed", columns="variant", values="top1")
    return 100 * table.reindex(columns=line.variants)


def comparable_tops(line: Line) -> pd.DataFrame:
    """`tops` for orders of variants: only the seeds that any variant other than the baseline has finished.

    A baseline with more seeds than the variants would otherwise be ranked by seeds that they do not have.
    """
    table = tops(line)
    return table[table.drop(columns=line.baseline).notna().any(axis=1)].dropna(axis=1, how="all")


def seed_gains(line: Line) -> dict[str, list[float]]:
    """Variant -> gain of each seed that both the variant and the baseline finished, in points of top-1."""
    table = tops(line)
    differences = table.sub(table[line.baseline], axis=0).to_numpy(dtype=float)  # all columns at once
    return {
        variant: [float(gain) for gain in column if not math.isnan(gain)]
        for variant, column in zip(table.columns, differences.T, strict=True)
    }


@once_a_line
def comparisons(line: Line) -> Comparisons:
    """The comparisons of all variants with the baseline."""
    of_seeds = {name: values for name, values in seed_gains(line).items() if name != line.baseline}
    residuals, df = errors(_distinct(line))
    sd = math.sqrt(float((residuals**2).sum()) / df) if df else math.nan
    normal_p = _normal_p(residuals) if df else math.nan
    tested = dunnett_tests(of_seeds, sd, df)
    counts = Counter(zip(line.trials["variant"], line.trials["status"], strict=True))
    trials = Counter(line.trials["variant"])
    doubtful = normal_p < DOUBTFUL_P
    found = {
        variant: Comparison(
            *tested.get(variant, (estimate(values[:1]), math.nan)),
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


def over_seeds(epochs: pd.DataFrame, metric: str, by: Sequence[str]) -> pd.DataFrame:
    """`mean`, `low` and `high` over seeds of a metric of epochs, in the unit of its label, for each group."""
    values = epochs.assign(value=METRICS[metric].of).groupby(list(by))["value"]
    return values.agg(mean="mean", low="min", high="max").reset_index()


def contrast(line: Line, variant: str, against: str) -> tuple[Estimate, float]:
    """Gain of one variant over another of the same line, in points, paired by seed, and its p, as a single comparison.

    Uses the errors of the whole line. With fewer than two seeds there is neither an interval nor a p.
    """
    table, found = tops(line), comparisons(line)
    values = (table[variant] - table[against]).dropna().tolist()
    if len(values) < 2 or not found.df:
        return estimate(values[:1]), math.nan
    mean, error = float(np.mean(values)), found.sd * math.sqrt(2 / len(values))
    p = 2 * float(stats.t.sf(abs(mean) / error, found.df)) if error else float(mean == 0)
    return Estimate(mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, found.df)) * error, len(values)), p


def _distinct(line: Line) -> Floats:
    """Top-1 by seed and variant, without variants that consist of the same trials as another."""
    table, trials = tops(line), line.finished.groupby("variant")["trial"].agg(frozenset)
    first = trials.drop_duplicates().index
    return table[[variant for variant in table.columns if variant in first]].to_numpy(dtype=float)


def errors(table: Floats) -> tuple[Floats, int]:
    """Residuals of a table (seeds by variants, gaps allowed) after least squares, and their degrees of freedom.

    Seeds and variants with a single value say nothing about errors and are left out.
    """
    known = ~np.isnan(table)
    while known.size and (few := (known.sum(axis=0) < 2)).any() | (single := (known.sum(axis=1) < 2)).any():
        table = table[~single][:, ~few]
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
    """Variant -> mean gain with its interval, and its p, for variants with at least two seeds.

    `sd` and `df` are the standard deviation and the degrees of freedom of the errors, see `errors`.
    """
    family = {variant: values for variant, values in of_seeds.items() if len(values) > 1} if df else {}
    if not family:
        return {}
    n = np.array([len(values) for values in family.values()])
    means = np.array([np.mean(values) for values in family.values()])
    errors_of_mean = sd * np.sqrt(2 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = np.nan_to_num(means / errors_of_mean, nan=0.0, posinf=np.inf, neginf=-np.inf)
    # Exact with at most one gap; with more, two variants are assumed to share as many seeds as expected by chance.
    loads = EQUAL_LOAD * np.sqrt(n / n.max())
    halves = critical(loads, df, CONFIDENCE) * errors_of_mean
    p = adjusted(statistics, loads, df)
    found = zip(family, means, halves, n, p, strict=True)
    return {variant: (Estimate(float(m), float(h), int(k)), float(q)) for variant, m, h, k, q in found}


def bca(values: Sequence[float], comparisons: int) -> tuple[float, float]:
    """The BCa bootstrap interval of a mean, at Bonferroni's level for the number of comparisons."""
    if max(values) - min(values) < 1e-12:
        return values[0], values[0]
    level = 1 - LEVEL / max(comparisons, 1)
    drawn = np.random.default_rng(0)
    found: Any = stats.bootstrap(
        (np.asarray(values),), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="BCa", rng=drawn
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def top1(line: Line) -> dict[str, Estimate]:
    """Variant -> mean top-1 after the last epoch over its finished seeds, in points."""
    finished = line.finished.assign(points=METRICS["top1"].of)
    values = finished.groupby("variant")["points"].apply(list).to_dict()
    return {variant: estimate(values.get(variant, [])) for variant in line.variants}


def ends(trials: pd.DataFrame, but: str = "") -> dict[str, str]:
    """Variant -> the statuses of its trials with their counts; the status `but` is left out."""
    counts = Counter(zip(trials["variant"], trials["status"], strict=True))
    totals = Counter(trials["variant"])
    found: dict[str, list[str]] = {}
    for (variant, status), count in sorted(counts.items()):
        if status != but:
            share = f"{count}" if count == totals[variant] else f"{count} of {totals[variant]}"
            found.setdefault(variant, []).append(f"{share} {status}")
    return {variant: ", ".join(words) for variant, words in found.items()}


def unfinished(line: Line) -> dict[str, str]:
    """Variant -> the statuses of its trials that have not finished, with their counts; only variants with any."""
    return ends(line.trials, but=FINISHED)
