"""The learned colour spaces A to F as in the table of the authors' talk: layers, our numbers and the published ones."""

from __future__ import annotations

import re
from textwrap import shorten
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, Figure
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import INTERVAL, MEAN_INTERVAL, NO_ESTIMATE, gains, top1, unfinished

STUDY = "learned_colorspace"
HEADS = ("", "layers between image and network", "top-1, %", "gain, points", "published, %", "gain")
PLACES = (0.0, 0.035, 0.71, 0.83, 0.94, 1.0)
"""Positions of the columns as shares of the width: left ends of the first two, right ends of the numbers."""
ROW_INCHES = 0.2
LONGEST = 86
"""Most characters of a description."""


def data(line: Line) -> pd.DataFrame:
    """One row per variant, by letter: `letter`, `layers`, `variant`, `top1`, `gain`, `published`, `published_gain`.

    Our numbers are `Estimate`s in points, the published ones points; `note` lists trials that have not finished.
    """
    if line.study != STUDY:
        return pd.DataFrame(columns=["letter", "layers", "variant", "top1", "gain", "published", "note"])
    paper = published_study(line.study, line.baseline).reindex(line.variants)
    summaries = line.trials.drop_duplicates("variant").set_index("variant")["summary"].reindex(line.variants)
    split = [re.fullmatch(r"(?:([A-Z]): )?(.*)", str(text)) for text in summaries]
    why, tops, differences = (
        unfinished(line),
        top1(line),
        gains(line) | {line.baseline: NO_ESTIMATE},
    )
    rows = {
        "letter": [found.group(1) or "" if found else "" for found in split],
        "layers": [found.group(2) if found else "" for found in split],
        "variant": line.variants,
        "top1": [tops[variant] for variant in line.variants],
        "gain": [differences[variant] for variant in line.variants],
        "published": METRICS["published_top1"].of(paper).to_numpy(),
        "published_gain": METRICS["published_gain"].of(paper).to_numpy(),
        "note": [why.get(variant, "") for variant in line.variants],
        "baseline": [variant == line.baseline for variant in line.variants],
    }
    frame = pd.DataFrame(rows)
    order = frame["letter"].where(frame["letter"] != "", "~").where(~frame["baseline"], "")
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Write text in columns, with a rule under the headings."""
    ax.set_axis_off()
    noted = frame["note"].ne("").cumsum().shift(fill_value=0)
    ax.set_ylim(len(frame) + frame["note"].ne("").sum() + 0.4, -0.6)
    ax.set_xlim(0, 1)
    _row(ax, 0, HEADS, fontweight="bold")
    ax.plot([0, 1], [0.5, 0.5], color=style.BEHIND, lw=0.8)
    for number, entry in enumerate(frame.itertuples(), 1):
        place = number + int(noted.iloc[number - 1])
        _row(ax, place, _cells(entry), color=style.DARK)
        ax.text(PLACES[1], place + 1, str(entry.note), fontsize=7, va="center", color=style.TROUBLE)


def _cells(entry: Any) -> tuple[str, ...]:
    published = METRICS["published_top1"].text(entry.published), METRICS["published_gain"].text(entry.published_gain)
    ours = entry.top1.text(METRICS["top1"]), "baseline" if entry.baseline else entry.gain.text(METRICS["gain"])
    return (entry.letter, shorten(entry.layers, LONGEST, placeholder=" ..."), *ours, *published)


def _row(ax: Axes, place: float, cells: tuple[str, ...], **options: Any) -> None:
    for number, (at, cell) in enumerate(zip(PLACES, cells, strict=True)):
        side = "left" if number < 2 else "right"
        ax.text(at, place, cell, fontsize=7, va="center", ha=side, **options)


NOTE = f"Letters are those of the authors' talk. ±: half-width of the {MEAN_INTERVAL} of top-1, or of the {INTERVAL}."
FIGURES.add("colorspace_table", "the learned colour spaces A to F", "Mishkin et al. 2017")(
    Figure(data, draw, lambda frame: 0.4 + ROW_INCHES * (len(frame) + frame["note"].ne("").sum()), NOTE, order=9)
)
