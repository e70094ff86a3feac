"""Scores with shared weights against individual trainings of each architecture, and the agreement of their orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import FINISHED
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.agreement import Agreement, agree, over_variants
from raysweep.analysis.statistics.comparisons import CONFIDENCE
from raysweep.store.schema import RANKING

NAME = "ranking"
"""The column with the name of a ranking in its store."""
WAYS = {"shared": "with shared weights", "standalone": "in individual training"}
COLUMNS = ("panel", "architecture", *WAYS, "left_out", "caption")
PANEL_INCHES = 2.9
LONGEST = 60
"""Most characters of a value in a heading."""


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per architecture: `shared` and `standalone` (points of top-1), and the reason if it is `left_out`.

    Each ranking has a panel: rankings differ in `seed` and in columns of their own.
    """
    rows = evidence.rankings
    own = [NAME, "seed", *(name for name in rows.columns if name not in (*RANKING.names, NAME))]
    values = {way: 100 * rows[f"{way}_top1"].astype(float) for way in WAYS}
    records = rows.to_dict("records")
    ends = [{way: row[f"{way}_status"].replace("_", " ") for way in WAYS} for row in records]
    why = [", ".join(f"{end} {WAYS[way]}" for way, end in of_ways.items() if end != FINISHED) for of_ways in ends]
    panels = [", ".join(filter(None, (_heading(name, row.get(name)) for name in own))) for row in records]
    found = rows.assign(panel=panels, left_out=why, caption="Shared weights and individual trainings.", **values)
    return found.reindex(columns=list(COLUMNS))


def _heading(name: str, value: Any) -> str:
    """A column and its value for a heading; empty if there is no value or if it is too long, like a whole recipe."""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    if pd.isna(value) or len(shown) > LONGEST:
        return ""
    return shown if name == NAME else f"{name} {shown}"


def agreement(frame: pd.DataFrame) -> Agreement | None:
    """Agreement of the two orders of a panel, over the architectures with both scores."""
    whole = frame[frame["left_out"] == ""]
    standalone, shared = (whole[way].to_numpy(dtype=float) for way in ("standalone", "shared"))
    return agree(standalone, shared, over_variants(standalone, shared))


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw a panel per ranking."""
    groups = list(frame.groupby("panel", sort=False))
    for (name, own), panel in zip(groups, style.fill(ax, len(groups)), strict=True):
        _panel(panel, own)
        style.title(panel, f"{str(name).replace(', ', chr(10), 1)}\n{words(own)}")


def words(frame: pd.DataFrame) -> str:
    """Tau with its interval, the number of architectures, and how many are left out for which reasons."""
    found, reasons = agreement(frame), frame.loc[frame["left_out"] != "", "left_out"].value_counts()
    tau = f"tau {found}, n = {found.n}" if found else f"no tau: n = {int((frame['left_out'] == '').sum())}"
    return "\n".join([f"{tau} of {len(frame)}", *(f"{count} left out: {why}" for why, count in reasons.items())])


def _panel(panel: Axes, frame: pd.DataFrame) -> None:
    whole = frame[frame["left_out"] == ""]
    panel.plot(whole["shared"], whole["standalone"], "o", ms=4, color=style.OURS, alpha=0.6, mec="none", zorder=3)
    # An architecture with only one score is drawn at the edge of the other axis.
    for way, at in (("standalone", panel.get_yaxis_transform()), ("shared", panel.get_xaxis_transform())):
        lost = frame.loc[frame["left_out"] != "", way].dropna()
        edge = np.full(len(lost), 0.02)
        places = (edge, lost) if way == "standalone" else (lost, edge)
        panel.plot(*places, "x", ms=4, color=style.TROUBLE, transform=at, zorder=3)
    panel.margins(0.08)
    x, y = (f"{METRICS['top1'].label}, {WAYS[way]}" for way in ("shared", "standalone"))
    style.small(panel, x, y, (5, 5))


NOTE = (
    "Points: architectures; crosses at an edge: those without one of the scores, which do not count. Tau: Kendall's "
    f"tau-b with a bootstrap interval ({100 * CONFIDENCE:g} %) over architectures; each was trained once."
)
OVERVIEWS.add("supernet", "scores with shared weights against individual trainings", "Yu et al. 2020")(
    Overview(
        data,
        draw,
        stacked(0.4, PANEL_INCHES, "panel", across=2),
        NOTE,
        order=15,
        width=lambda frame: 7.4 if frame["panel"].nunique() > 1 else 4.6,
    )
)
