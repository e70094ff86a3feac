"""Accuracy of all networks that searches have evaluated against their multiply-accumulates, with Pareto fronts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from analysis.figures import OVERVIEWS, Evidence, Overview
from analysis.figures import _look as look
from analysis.figures._searches import evaluated, numbers
from analysis.figures.complexity import front
from analysis.metrics import METRICS

COLUMNS = ("panel", "method", "architecture", "top1", "macs", "params", "front", "times", "caption")
PANEL_INCHES = 2.6
AREAS = (6.0, 70.0)
"""Square points of the marks of a network without parameters and of the largest."""


def data(evidence: Evidence) -> pd.DataFrame:
    """One row a method and network: `top1` (points), `macs`, `params`, `times` evaluated, whether on the `front`.

    Fronts are those of each method. Networks that were trained for less than the longest time of their method are left
    out, as are those of unknown size.
    """
    rows = evaluated(evidence).dropna(subset=["top1", "macs", "params"])
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    keys = ["panel", "method", "key"]
    kept = rows.assign(times=rows.groupby(keys)["key"].transform("size")).drop_duplicates(keys)
    best = [index for _, own in kept.groupby(["panel", "method"]) for index in front(own).index]
    return kept.assign(front=kept.index.isin(best))[list(COLUMNS)].reset_index(drop=True)


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Two panels in a row, one alone over the whole width."""
    count = frame["panel"].nunique()
    return 7.4, 0.75 + PANEL_INCHES * -(-count // 2)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """A panel for each set of searches that can be compared."""
    groups = list(frame.groupby("panel", sort=False))
    panels, number = look.pairs(ax, len(groups)), numbers(frame["method"])
    for (name, own), panel in zip(groups, panels, strict=True):
        _panel(panel, own, number)
        look.title(panel, str(name))
    look.key_above(panels[0], list(number))


def _panel(panel: Axes, frame: pd.DataFrame, number: Mapping[str, int]) -> None:
    largest = float(frame["params"].max())
    for method, own in frame.groupby("method", sort=False):
        shade = look.colour(str(method), number[str(method)])
        areas = [area(params, largest) for params in own["params"]]
        panel.scatter(own["macs"], own["top1"], areas, color=shade, alpha=0.45, lw=0, zorder=3)
        best = own[own["front"]].sort_values("macs")
        panel.plot(best["macs"], best["top1"], drawstyle="steps-post", color=shade, lw=1.1, zorder=2)
    panel.set_xscale("log")
    panel.margins(0.06)
    ends = [METRICS["params"].text(params) for params in (frame["params"].min(), largest)]
    panel.set_xlabel(f"MACs of one image; areas: {' to '.join(ends)} parameters", fontsize=7, labelpad=1)
    panel.set_ylabel(METRICS["top1"].label, fontsize=7, labelpad=2)
    wide = frame["macs"].max() > 8 * frame["macs"].min()
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide else (1, 1.5, 2, 3, 5, 7)))
    panel.xaxis.set_major_formatter(lambda value, _: METRICS["macs"].text(value))
    panel.xaxis.set_minor_formatter(lambda value, _: "")
    panel.yaxis.set_major_locator(MaxNLocator(5))
    look.small(panel)


def area(params: float, largest: float) -> float:
    """Square points of a mark; its area above the least grows in proportion to the parameters."""
    return AREAS[0] + (AREAS[1] - AREAS[0]) * params / largest


NOTE = (
    "Marks: networks evaluated, one training each; their area grows with the parameters. Steps: the Pareto front of "
    "each method, which favours the lucky: it is of single trainings, by the images that were chosen by."
)
OVERVIEWS.add("search_macs", "accuracy against multiply-accumulates of all networks that searches evaluated")(
    Overview(data, draw, size, NOTE, order=13)
)
