"""Means, intervals and gains over seeds. Intervals are Student's t at 95 %; one seed has none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from analysis.load import Line
from analysis.metrics import METRICS, Metric

CONFIDENCE = 0.95
FAR = 3.0
INTERVAL = f"{CONFIDENCE:.0%} Student-t interval".replace("%", " %")


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


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student-t interval of independent values."""
    n = len(values)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    if n == 1:
        return Estimate(float(values[0]), math.nan, 1)
    series = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * series.std(ddof=1) / math.sqrt(n)
    return Estimate(float(series.mean()), float(half), n)


def near(values: pd.Series, far: float = FAR) -> pd.Series:
    """The values within `far` interquartile ranges of the quartiles: what an axis is scaled to."""
    first, third = values.quantile(0.25), values.quantile(0.75)
    unit = max(third - first, 0.05 * (values.max() - values.min()))
    return values[values.between(first - far * unit, third + far * unit)]


def seed_gains(line: Line) -> dict[str, list[float]]:
    """Variant -> gain of each seed in points of top-1; a seed counts where the variant and the baseline finished."""
    tops = line.finished.pivot_table(index="seed", columns="variant", values="top1")
    tops = tops.reindex(columns=line.variants)
    differences = 100 * tops.sub(tops[line.baseline], axis=0).to_numpy(dtype=float)  # as `points`, all columns at once
    return {
        variant: [float(gain) for gain in column if not math.isnan(gain)]
        for variant, column in zip(line.variants, differences.T, strict=True)
    }


def gains(line: Line) -> dict[str, Estimate]:
    """Variant -> gain in points of top-1 over the baseline, paired by seed."""
    return {variant: estimate(values) for variant, values in seed_gains(line).items()}


def top1(line: Line) -> dict[str, Estimate]:
    """Variant -> top-1 after the last epoch, in points, over its finished seeds."""
    finished = line.finished.assign(points=METRICS["top1"].of)
    values = finished.groupby("variant")["points"].apply(list).to_dict()
    return {variant: estimate(values.get(variant, [])) for variant in line.variants}


def ends(trials: pd.DataFrame) -> dict[str, str]:
    """Variant -> how many of its trials stand how, of those variants that have any; one pass for all of them."""
    counts = Counter(zip(trials["variant"], trials["status"], strict=True))
    said: dict[str, list[str]] = {}
    for (variant, status), count in sorted(counts.items()):
        said.setdefault(variant, []).append(f"{count} {status}")
    return {variant: ", ".join(words) for variant, words in said.items()}
