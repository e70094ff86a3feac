"""Non-linearities with few data: NiN on CIFAR-10 and CIFAR-100, ours beside the published table (Xu et al. 2015)."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.captions import caption
from analysis.figures import OVERVIEWS, Evidence, Overview
from analysis.figures import _look as look
from analysis.figures._lines import lines_of
from analysis.load import Line
from analysis.metrics import METRICS
from analysis.published import published
from analysis.statistics.comparisons import Estimate, top1, unfinished

STUDY = "activation_cifar"
SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
CLASSES = {10: "cifar10", 100: "cifar100"}
"""Classes -> the published data set of as many."""
COLUMNS = ("images", "line", "variant", "top1", "half", "n", "published", "crossed", "caption")


def data(evidence: Evidence) -> pd.DataFrame:
    """One row a line (or a data set without one) and variant: `top1`, `half` and `published` in points.

    Published rows are those of the data set with as many classes; other protocols than cifar10 have none.
    """
    lines = sorted(lines_of(evidence, [STUDY]), key=lambda line: line.baseline_recipe.network.outputs)
    rows = [row for line in lines for row in _line(line)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _line(line: Line) -> list[dict[str, Any]]:
    known = published()
    images = CLASSES.get(line.baseline_recipe.network.outputs, "") if line.protocol == "cifar10" else ""
    paper = METRICS["top1"].of(known[(known["study"] == STUDY) & (known["dataset"] == images)].set_index("variant"))
    found, why = top1(line), unfinished(line)
    return [
        {
            "images": SETS.get(images, line.protocol),
            "line": line.line,
            "variant": variant,
            "top1": found[variant].mean,
            "half": found[variant].half,
            "n": found[variant].n,
            "published": paper.get(variant, math.nan),
            "crossed": why.get(variant, ""),
            "caption": caption(line),
        }
        for variant in line.variants
    ]


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """A panel a line side by side, one row a variant."""
    return 7.4, 0.75 + 0.28 * frame["variant"].nunique()


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Top-1 by non-linearity, its numbers at the right: ours, published."""
    (panels,) = look.split(ax, 1, frame["line"].nunique())
    names = list(dict.fromkeys(frame["variant"]))
    for panel, (_, rows) in zip(panels, frame.groupby("line", sort=False), strict=True):
        half = rows["half"].fillna(0)
        panel.set_xlim(*look.rise([*(rows["top1"] - half), *(rows["top1"] + half), *rows["published"]]))
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_yticks(range(len(names)), names, parse_math=False)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        panel.set_xlabel(METRICS["top1"].label)
        look.title(panel, f"NiN on {rows['images'].iloc[0]}")
        for entry in rows.itertuples():
            _row(panel, names.index(str(entry.variant)), entry)


def _row(panel: Axes, row: int, entry: Any) -> None:
    bar = None if math.isnan(entry.half) else entry.half
    if math.isnan(entry.top1):
        look.cross(panel, row, 0.02)
    else:
        panel.errorbar(entry.top1, row, xerr=bar, fmt="o", ms=5, color=look.OURS, lw=1.3, capsize=2)
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    ours = Estimate(entry.top1, entry.half, entry.n).text(METRICS["top1"])
    panel.annotate(ours, (1, row), (6, 0), **beside, fontsize=7, color=look.OURS)
    if not math.isnan(entry.published):
        panel.plot(entry.published, row, "D", ms=4.5, color=look.PUBLISHED)
        said = METRICS["top1"].text(entry.published)
        panel.annotate(said, (1, row), (62, 0), **beside, fontsize=7, color=look.PUBLISHED)


NOTE = f"Points: ours, mean over seeds with its {look.STUDENT}; diamonds: published. At the right the numbers."
OVERVIEWS.add("small_data", "non-linearities with few data", "Xu et al. 2015")(
    Overview(data, draw, size, NOTE, order=6)
)
