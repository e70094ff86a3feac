"""The quantities that figures and tables show: name -> column, label, transform, format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from raysweep.errors import unknown
from raysweep.units import short

NOTHING = "–"
"""Shown in place of a missing number."""


def identity(values: pd.Series) -> pd.Series:
    """Shown as stored."""
    return values


def points(values: pd.Series) -> pd.Series:
    """A share (0..1) as points of a hundred."""
    return 100 * values


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
    transform: Callable[[pd.Series], pd.Series]
    format: Callable[[float], str]

    def of(self, frame: pd.DataFrame) -> pd.Series:
        """Its values in a frame, in the unit of its label."""
        return self.transform(frame[self.column].astype(float))

    def text(self, value: float) -> str:
        """One value, already in the unit of the label; a dash for none."""
        return NOTHING if pd.isna(value) else self.format(value)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "top1": Metric("top1", "top-1, %", points, "{:.1f}".format),
        "gain": Metric("gain", "gain, points", identity, signed),
        "p": Metric("p", "p", identity, chance),
        "q": Metric("q", "q", identity, chance),
        "seeds_needed": Metric("seeds_needed", "seeds to show it", identity, "{:.0f}".format),
        "train_loss": Metric("train_loss", "training loss, nats", identity, "{:.2f}".format),
        "published_top1": Metric("published_top1", "published top-1, %", points, "{:.1f}".format),
        "published_gain": Metric("published_gain", "published gain, points", points, signed),
        "correlation": Metric("spearman", "rank correlation", identity, "{:.2f}".format),
        "params": Metric("params", "parameters", identity, short),
        "macs": Metric("macs", "MACs", identity, short),
        "images_per_s": Metric("images_per_s", "images/s", identity, "{:,.0f}".format),
        "data_wait": Metric("data_wait", "data wait, % of time", points, "{:.0f}".format),
    }
)


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        RaysweepError: no such metric; the message holds the nearest ones.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
