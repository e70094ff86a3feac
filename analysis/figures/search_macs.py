"""Accuracy against multiply-accumulates of all networks that searches evaluated, with Pareto fronts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.figures._searches import evaluated, numbers
from raysweep.analysis.figures.complexity import front
from raysweep.analysis.metrics import METRICS

COLUMNS = ("panel", "method", "architecture", "top1", "macs", "params", "front", "times", "caption")
PANEL_INCHES = 2.6
AREAS = (6.0, 70.0)
"""Areas of marks in square points: of a network without parameters, and of the largest one."""


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per method and network: `top1` (points), `macs`, `params`, `times` evaluated, whether on the `front`.

    Each method has its own front. Networks that were trained for less than the longest training of their method, and
    those of unknown size, are left out.
    """
    rows = evaluated(evidence).dropna(subset=["top1", "macs", "params"])
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    keys = ["panel", "method", "key"]
    kept = rows.assign(times=rows.groupby(keys)["key"].transform("size")).drop_duplicates(keys)
    best = [index for _, own in kept.groupby(["panel", "method"]) for index in front(own).index]
    return kept.assign(front=kept.index.isin(best))[list(COLUMNS)].reset_index(drop=True)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw a panel for each set of searches that can be compared."""
    groups = list(frame.groupby("panel", sort=False))
    panels, number = style.fill(ax, len(groups)), numbers(frame["method"])
    for (name, own), panel in zip(groups, panels, strict=True):
        _panel(panel, own, number)
        style.title(panel, str(name))
    style.key_above(panels[0], list(number))


def _panel(panel: Axes, frame: pd.DataFrame, number: Mapping[str, int]) -> None:
    largest = float(frame["params"].max())
    for method, own in frame.groupby("method", sort=False):
        shade = style.colour(str(method), number[str(method)])
        areas = [area(params, largest) for params in own["params"]]
        panel.scatter(own["macs"], own["top1"], areas, color=shade, alpha=0.45, lw=0, zorder=3)
        best = own[own["front"]].sort_values("macs")
        panel.plot(best["macs"], best["top1"], drawstyle="steps-post", color=shade, lw=1.1, zorder=2)
    panel.set_xscale("log")
    panel.margins(0.06)
    ends = [METRICS["params"].text(params) for params in (frame["params"].min(), largest)]
    style.small(panel, f"MACs per image; area: {' to '.join(ends)} parameters", METRICS["top1"].label, (0, 5))
    wide = frame["macs"].max() > 8 * frame["macs"].min()
    style.log_ticks(panel.xaxis, METRICS["macs"].text, (1, 2, 5) if wide else (1, 1.5, 2, 3, 5, 7))


def area(params: float, largest: float) -> float:
    """The area of a mark in square points, which grows linearly with the parameters."""
    return AREAS[0] + (AREAS[1] - AREAS[0]) * params / largest


NOTE = (
    "Marks: evaluated networks, trained once each; their area grows with the parameters. Steps: the Pareto front of "
    "each method, which is optimistic: it is based on single trainings and on the images that searches select by."
)
OVERVIEWS.add("search_macs", "accuracy against multiply-accumulates of all networks that searches evaluated")(
    Overview(data, draw, stacked(0.75, PANEL_INCHES, "panel", across=2), NOTE, order=13)
)
