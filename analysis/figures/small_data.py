"""Non-linearities on small data sets: NiN on CIFAR-10 and CIFAR-100, ours and published (Xu et al. 2015)."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published
from raysweep.analysis.statistics.comparisons import MEAN_INTERVAL, Estimate, top1, unfinished

STUDY = "activation_cifar"
SETS = {10: ("cifar10", "CIFAR-10"), 100: ("cifar100", "CIFAR-100")}
"""Number of classes -> the published data set with that many, and its name in headings."""


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per line and variant: `top1`, `half` and `published` in points.

    Published numbers are those of the data set with the same number of classes; only protocol cifar10 has them.
    """
    lines = sorted(evidence.of(STUDY), key=lambda line: line.baseline_recipe.network.outputs)
    return pd.DataFrame(row for line in lines for row in _line(line))


def _line(line: Line) -> list[dict[str, Any]]:
    known = published()
    known_sets = SETS if line.protocol == "cifar10" else {}
    images, heading = known_sets.get(line.baseline_recipe.network.outputs, ("", line.protocol))
    paper = METRICS["top1"].of(known[(known["study"] == STUDY) & (known["dataset"] == images)].set_index("variant"))
    found, why = top1(line), unfinished(line)
    return [
        {
            "images": heading,
            "line": line.line,
            "variant": variant,
            "published": paper.get(variant, math.nan),
            "crossed": why.get(variant, ""),
            "caption": caption(line),
        }
        | found[variant].row("top1")
        for variant in line.variants
    ]


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw top-1 by non-linearity, with our number and the published one at the right."""
    (panels,) = style.split(ax, 1, frame["line"].nunique())
    names = list(dict.fromkeys(frame["variant"]))
    for panel, (_, rows) in zip(panels, frame.groupby("line", sort=False), strict=True):
        panel.set_xlim(*style.reach(rows, "top1", rows["published"].tolist()))
        style.name_rows(panel, names)
        panel.set_xlabel(METRICS["top1"].label)
        style.title(panel, f"NiN on {rows['images'].iloc[0]}")
        for entry in rows.itertuples():
            _row(panel, names.index(str(entry.variant)), entry)


def _row(panel: Axes, row: int, entry: Any) -> None:
    if math.isnan(entry.top1):
        style.cross(panel, row, 0.02)
    else:
        panel.errorbar(entry.top1, row, xerr=entry.half, fmt="o", ms=5, color=style.OURS, lw=1.3, capsize=2)
    ours = Estimate(entry.top1, entry.half, entry.n).text(METRICS["top1"])
    style.right_of(panel, row, ours, 6, 7, style.OURS)
    if not math.isnan(entry.published):
        panel.plot(entry.published, row, "D", ms=4.5, color=style.PUBLISHED)
        style.right_of(panel, row, METRICS["top1"].text(entry.published), 62, 7, style.PUBLISHED)


NOTE = f"Points: ours, mean over seeds with its {MEAN_INTERVAL}; diamonds: published. Numbers at the right."
OVERVIEWS.add("small_data", "non-linearities on small data sets", "Xu et al. 2015")(
    Overview(data, draw, stacked(0.75, 0.28, "variant"), NOTE, order=6)
)
