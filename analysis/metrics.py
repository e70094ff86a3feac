"""The quantities that figures and tables show: name -> column, label, unit, format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from raysweep.units import short

NOTHING = "–"
"""Shown in place of a missing number."""


def signed(value: float) -> str:
    """One decimal with its sign; a minus as wide as a plus."""
    return f"{value:+.1f}".replace("-", "−")


def chance(p: float) -> str:
    """A p-value in three decimals."""
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


@dataclass(frozen=True)
class Metric:
    """One quantity: where it is stored, what a reader sees."""

    column: str
    """In the store's tables, or in the summary table."""
    label: str
    format: Callable[[float], str]
    scale: int = 1
    """What stored values are multiplied by for the unit of the label: 100 for shares (0..1) shown as points."""

    def of(self, frame: pd.DataFrame) -> pd.Series:
        """Its values in a frame, in the unit of its label."""
        return self.scale * frame[self.column].astype(float)

    def text(self, value: float) -> str:
        """One value, already in the unit of the label; a dash for none."""
        return NOTHING if pd.isna(value) else self.format(value)


METRICS: Mapping[str, Metric] = {
    "top1": Metric("top1", "top-1, %", "{:.1f}".format, 100),
    "gain": Metric("gain", "gain, points", signed),
    "p": Metric("p", "adjusted p", chance),
    "best": Metric("best", "P(best)", "{:.2f}".format),
    "top3": Metric("top3", "P(top 3)", "{:.2f}".format),
    "more_seeds": Metric("more_seeds", "more seeds for the margin", "{:.0f}".format),
    "seeds_published": Metric("seeds_published", "seeds for the published gain", "{:.0f}".format),
    "train_loss": Metric("train_loss", "training loss, nats", "{:.2f}".format),
    "published_top1": Metric("published_top1", "published top-1, %", "{:.1f}".format, 100),
    "published_gain": Metric("published_gain", "published gain, points", signed, 100),
    "correlation": Metric("spearman", "rank correlation", "{:.2f}".format),
    "params": Metric("params", "parameters", short),
    "macs": Metric("macs", "MACs", short),
    "images_per_s": Metric("images_per_s", "images/s", "{:,.0f}".format),
    "data_wait": Metric("data_wait", "data wait, % of time", "{:.0f}".format, 100),
}
