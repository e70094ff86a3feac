"""Means, intervals and gains over seeds. Intervals are Student's t at 95 %; one seed has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from analysis.load import Line

CONFIDENCE = 0.95
INTERVAL = "95 % Student-t interval"
POINTS = 100
"""Top-1 is a share; gains are in points of a hundred."""


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


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student-t interval of independent values."""
    n = len(values)
    series = pd.Series(values, dtype=float)
    if n < 2:
        return Estimate(float(series.mean()), math.nan, n)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * series.std(ddof=1) / math.sqrt(n)
    return Estimate(float(series.mean()), float(half), n)


def seed_gains(line: Line) -> dict[str, list[float]]:
    """Variant -> gain in points over the baseline of the same seed, for every seed where both have finished."""
    tops = line.finished.pivot_table(index="seed", columns="variant", values="top1")
    if line.baseline not in tops:
        return {variant: [] for variant in line.variants}
    differences = POINTS * tops.sub(tops[line.baseline], axis=0)
    return {v: differences[v].dropna().tolist() if v in differences else [] for v in line.variants}


def gains(line: Line) -> dict[str, Estimate]:
    """Variant -> gain in points of top-1 over the baseline, paired by seed."""
    return {variant: estimate(values) for variant, values in seed_gains(line).items()}


def top1(line: Line) -> dict[str, Estimate]:
    """Variant -> top-1 after the last epoch, in points, over its finished seeds."""
    found = {variant: rows["top1"] for variant, rows in line.finished.groupby("variant")}
    return {
        variant: estimate((POINTS * found[variant]).tolist() if variant in found else []) for variant in line.variants
    }
