"""Gains of non-linearities without and with batch normalisation side by side, ours and published."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import INTERVAL, Estimate, gains, unfinished
from raysweep.identity import canonical_json
from raysweep.study import CLEAN, find_study

WITHOUT, WITH = "activation", "bn_activation"
TITLES = {WITHOUT: "without batch normalisation", WITH: "with batch normalisation"}
SAME = {"maxout": "maxout_same_complexity"}
"""Variant with normalisation -> the same without, if their names differ."""
ROW_INCHES = 0.22


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per pair of lines, study and non-linearity of both, the best without normalisation first.

    `pair` numbers the pairs of lines that differ only in normalisation. Gains are in points over ReLU of the same line;
    `crossed` lists trials that have not finished.
    """
    without = {conditions(line): line for line in evidence.of(WITHOUT)}
    normed = [(conditions(line), line) for line in evidence.of(WITH)]
    pairs = [(without[key], line) for key, line in normed if key in without]
    return pd.DataFrame(row for number, pair in enumerate(pairs) for row in _pair(number, *pair))


def conditions(line: Line) -> str:
    """Protocol, images and settings without what the study's own baseline changes: equal for comparable lines."""
    own = find_study(line.study).variant(line.baseline).patch
    kept = {path: value for path, value in line.settings().items() if path not in own}
    images = line.present("data_digest")
    return canonical_json({"protocol": line.protocol, "settings": kept, "images": images})


def _pair(number: int, plain: Line, normed: Line) -> Iterator[dict[str, Any]]:
    others = {name: SAME.get(name.removesuffix(CLEAN), name.removesuffix(CLEAN)) for name in normed.variants}
    found = gains(plain) | {plain.baseline: Estimate(0.0, math.nan, 0)}
    shown = [name for name in others if others[name] in found]
    shown.sort(key=lambda name: math.inf if math.isnan(mean := found[others[name]].mean) else -mean)
    for line, name_of in ((plain, others), (normed, {name: name for name in others})):
        own, why = gains(line) | {line.baseline: Estimate(0.0, math.nan, 0)}, unfinished(line)
        paper = METRICS["published_gain"].of(published_study(line.study, line.baseline))
        for name in shown:
            variant, about = name_of[name], {"pair": number, "study": line.study, "caption": caption(line)}
            rest = {"published": paper.get(variant, math.nan), "crossed": why.get(variant, "")}
            yield about | {"variant": name, "baseline": variant == line.baseline} | own[variant].row() | rest


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one row of panels per pair."""
    panels = style.split(ax, frame["pair"].nunique(), 2)
    for number, own in frame.groupby("pair"):
        names = list(dict.fromkeys(own["variant"]))
        reach = style.reach(own, "gain", [0.0, *own["published"]])
        for panel, study in zip(panels[int(str(number))], TITLES, strict=True):
            panel.set_xlim(*reach)
            _panel(panel, own[own["study"] == study], names)
            style.title(panel, TITLES[study])
            panel.tick_params(axis="y", labelleft=study == WITHOUT)


def _panel(panel: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    panel.axvline(0, color=style.DARK, lw=0.9, zorder=1)
    style.small(panel)
    style.name_rows(panel, names, 7.5)
    panel.set_xlabel("gain over ReLU of the same panel, points", fontsize=7, labelpad=1)
    for entry in rows.itertuples():
        style.gain_row(panel, names.index(str(entry.variant)), entry)


NOTE = (
    f"Points: mean gain; bars: {INTERVAL}; filled if it excludes 0. Diamonds: published. "
    "Names ending in _clean: as described, unlike the published run with normalisation."
)
OVERVIEWS.add("bn_gains", "gains of non-linearities without and with batch normalisation", "Mishkin et al. 2017")(
    Overview(
        data,
        draw,
        lambda frame: 0.2 + sum(0.6 + ROW_INCHES * rows["variant"].nunique() for _, rows in frame.groupby("pair")),
        NOTE,
        order=1,
    )
)
