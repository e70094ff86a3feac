"""What the best kept network takes the test images for: a matrix, or the most confused pairs of many classes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.confusion import MOST_CLASSES
from raysweep.analysis.figures import FIGURES, WIDTH_INCHES, Figure
from raysweep.analysis.figures import _style as style
from raysweep.analysis.last_test import LastTest
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS

MOST_PAIRS = 20
LONGEST, LONGEST_OF_TWO = 18, 30
"""Most characters of a name next to the matrix, and of each of a pair."""
CELL_INCHES, ROW_INCHES = 0.24, 0.18
FRAME_INCHES = 1.3
SHADE = (0.0, 0.447, 0.698)


def data(line: Line) -> pd.DataFrame:
    """One row per class and prediction: numbers `label` and `predicted`, their names `real` and `taken`, `share`.

    `share` is of the images of the class (0..1). Of more than `MOST_CLASSES` classes, only the wrong predictions with
    the highest shares, the highest first.
    """
    if line.last_test is None:
        return pd.DataFrame()
    frame = _shares(line.last_test)
    if frame["label"].nunique() > MOST_CLASSES:
        wrong = frame[frame["label"] != frame["predicted"]]
        return wrong.sort_values(["share", "images"], ascending=False, kind="stable").head(MOST_PAIRS)
    return frame


def _shares(tested: LastTest) -> pd.DataFrame:
    counts = tested.counts.sort_values(["label", "predicted"], kind="stable")
    totals = counts.groupby("label")["images"].transform("sum")
    return counts.assign(
        share=counts["images"] / totals,
        real=counts["label"].map(tested.name),
        taken=counts["predicted"].map(tested.name),
        title=f"{tested.title}: top-1 {METRICS['top1'].text(100 * tested.top1)} %",
        classes=counts["label"].nunique(),
    )


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw the matrix, or a bar for each pair."""
    style.title(ax, frame["title"].iloc[0])
    if frame["classes"].iloc[0] > MOST_CLASSES:
        _pairs(frame, ax)
    else:
        _matrix(frame, ax)


def _matrix(frame: pd.DataFrame, ax: Axes) -> None:
    names = dict(zip(frame["label"], frame["real"], strict=True)) | dict(
        zip(frame["predicted"], frame["taken"], strict=True)
    )
    places = {number: place for place, number in enumerate(sorted(names))}
    entry: Any
    for entry in frame.itertuples():
        row, column = places[entry.label], places[entry.predicted]
        ax.barh(row, 0.96, 0.94, column - 0.48, color=(*SHADE, 0.06 + 0.6 * entry.share))
        shade = style.DARK if row == column else style.TROUBLE
        ax.text(column, row, _percent(entry.share), ha="center", va="center", fontsize=6, color=shade)
    labels = [_short(names[number], LONGEST) for number in places]
    style.small(ax, "predicted", "class")
    ax.set_xlim(-0.5, len(places) - 0.5)
    ax.set_ylim(len(places) - 0.5, -0.5)
    ax.set_xticks(range(len(places)), labels, rotation=90)
    ax.set_yticks(range(len(places)), labels)
    ax.set_aspect("equal")
    ax.tick_params(length=0, labelsize=6.5)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."


def _percent(share: float) -> str:
    """A share in %, without decimals; a small one that is not 0 is shown as such."""
    return "<1" if share < 0.005 else f"{100 * share:.0f}"


def _pairs(frame: pd.DataFrame, ax: Axes) -> None:
    names = [
        f"{_short(real, LONGEST_OF_TWO)} as {_short(taken, LONGEST_OF_TWO)}"
        for real, taken in zip(frame["real"], frame["taken"], strict=True)
    ]
    ax.barh(range(len(frame)), 100 * frame["share"], 0.6, color=style.OURS)
    style.name_rows(ax, names, 6.5)
    for row, (share, images) in enumerate(zip(frame["share"], frame["images"], strict=True)):
        style.right_of(ax, row, f"{100 * share:.0f} % ({images})", 5, 6.5)
    style.small(ax, "share of the images of the class, %")


def _height(frame: pd.DataFrame) -> float:
    if frame["classes"].iloc[0] > MOST_CLASSES:
        return 0.6 + ROW_INCHES * len(frame)
    return FRAME_INCHES + CELL_INCHES * len({*frame["label"], *frame["predicted"]})


def _width(frame: pd.DataFrame) -> float:
    matrix = frame["classes"].iloc[0] <= MOST_CLASSES
    return max(4.2, _height(frame) + 0.4) if matrix else WIDTH_INCHES


NOTE = (
    "The trial with the highest top-1 of those whose weights were kept, in its last test. In a matrix, rows are the "
    "classes of the images and columns what the network took them for, in % of the images of the class; empty: none. "
    f"Of more than {MOST_CLASSES} classes, the {MOST_PAIRS} most frequent confusions, with their numbers of images."
)
FIGURES.add("confusion", "what the best kept network takes the classes for")(
    Figure(data, draw, _height, NOTE, order=20, width=_width)
)
