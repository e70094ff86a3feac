"""Scores with shared weights against trainings of each architecture by itself, and how far the orders agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.figures import OVERVIEWS, Evidence, Overview
from analysis.figures import _look as look
from analysis.load import FINISHED
from analysis.metrics import METRICS
from analysis.statistics.agreement import Agreement, agree
from analysis.statistics.comparisons import CONFIDENCE
from raysweep.store.schema import RANKING

NAME = "ranking"
"""Column of what a ranking is called in its store."""
WAYS = {"shared": "with shared weights", "standalone": "by itself"}
COLUMNS = ("panel", "architecture", *WAYS, "left_out", "caption")
PANEL_INCHES = 2.9
LONGEST = 60
"""Characters of a value that a heading has room for."""


def data(evidence: Evidence) -> pd.DataFrame:
    """One row an architecture: `shared` and `standalone` (points of top-1), and why it is `left_out`, if it is.

    A panel a ranking: rankings differ in their `seed` and in columns of their own.
    """
    rows = evidence.rankings
    own = [NAME, "seed", *(name for name in rows.columns if name not in (*RANKING.names, NAME))]
    values = {way: METRICS["top1"].transform(rows[f"{way}_top1"].astype(float)) for way in WAYS}
    why = [", ".join(_why(way, row[f"{way}_status"]) for way in WAYS if row[f"{way}_status"] != FINISHED)
           for row in rows.to_dict("records")]  # fmt: skip
    panels = [", ".join(filter(None, (_told(name, row.get(name)) for name in own))) for row in rows.to_dict("records")]
    found = rows.assign(panel=panels, left_out=why, caption="Shared weights and stand-alone trainings.", **values)
    return found.reindex(columns=list(COLUMNS))


def _told(name: str, value: Any) -> str:
    """What a heading says of a column; nothing of one that is empty or, like a whole recipe, too long for it."""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    if pd.isna(value) or len(shown) > LONGEST:
        return ""
    return shown if name == NAME else f"{name} {shown}"


def _why(way: str, status: str) -> str:
    return f"{status.replace('_', ' ')} {WAYS[way]}"


def agreement(frame: pd.DataFrame) -> Agreement | None:
    """Of the orders of one panel's architectures that have both scores."""
    whole = frame[frame["left_out"] == ""]
    alone, shared = (whole[[way]].to_numpy(dtype=float).T for way in ("standalone", "shared"))
    return agree(alone, shared)


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Two panels in a row."""
    count = frame["panel"].nunique()
    return (7.4 if count > 1 else 4.6), 0.4 + PANEL_INCHES * -(-count // 2)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """A panel a ranking."""
    groups = list(frame.groupby("panel", sort=False))
    for (name, own), panel in zip(groups, look.pairs(ax, len(groups)), strict=True):
        _panel(panel, own)
        look.title(panel, f"{str(name).replace(', ', chr(10), 1)}\n{words(own)}")


def words(frame: pd.DataFrame) -> str:
    """Tau with its interval, of how many, and which are left out for what reason."""
    found, reasons = agreement(frame), frame.loc[frame["left_out"] != "", "left_out"].value_counts()
    tau = f"tau {found}, n = {found.n}" if found else f"no tau: n = {int((frame['left_out'] == '').sum())}"
    return "\n".join([f"{tau} of {len(frame)}", *(f"{count} left out: {why}" for why, count in reasons.items())])


def _panel(panel: Axes, frame: pd.DataFrame) -> None:
    whole = frame[frame["left_out"] == ""]
    panel.plot(whole["shared"], whole["standalone"], "o", ms=4, color=look.OURS, alpha=0.6, mec="none", zorder=3)
    # What has one score alone stands at the edge of the other.
    for way, at in (("standalone", panel.get_yaxis_transform()), ("shared", panel.get_xaxis_transform())):
        lost = frame.loc[frame["left_out"] != "", way].dropna()
        edge = np.full(len(lost), 0.02)
        places = (edge, lost) if way == "standalone" else (lost, edge)
        panel.plot(*places, "x", ms=4, color=look.TROUBLE, transform=at, zorder=3)
    panel.set_xlabel(f"{METRICS['top1'].label}, {WAYS['shared']}", fontsize=7, labelpad=1)
    panel.set_ylabel(f"{METRICS['top1'].label}, {WAYS['standalone']}", fontsize=7, labelpad=2)
    panel.margins(0.08)
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.yaxis.set_major_locator(MaxNLocator(5))
    look.small(panel)


NOTE = (
    "Points: architectures; crosses at an edge: those that failed in one of the two ways and do not count. Tau: "
    f"Kendall's tau-b with its bootstrap interval ({100 * CONFIDENCE:g} %) over architectures; trainings have one seed."
)
OVERVIEWS.add("supernet", "scores with shared weights against stand-alone trainings", "Yu et al. 2020")(
    Overview(data, draw, size, NOTE, order=15)
)
