"""Accuracy against a quantity of the recipe, ours and published side by side, as in many figures of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, WIDTH_INCHES, Figure
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import MEAN_INTERVAL, top1, unfinished
from raysweep.cost import cost_key, goldens
from raysweep.recipe import Recipe
from raysweep.study import CLEAN, find_study
from raysweep.units import short

OURS, PAPER = "ours", "published"
PANEL_INCHES = 2.05
COLUMN = 0.025
"""Share of an axis within which points are in one column."""
TICK_INCHES = 0.34
"""Least distance of two labelled ticks."""
AS_PUBLISHED, NO_GROUPS = "as published", "no groups"
LOOSE = frozenset({AS_PUBLISHED, NO_GROUPS})
"""Series whose points are not joined, because they differ in more than the quantity."""


@dataclass(frozen=True)
class Design:
    """A variant as we ran it, or as the paper did."""

    name: str
    summary: str
    recipe: Recipe
    macs: float
    images_per_s: float
    ours: bool
    as_published: bool = False
    """Whether it is ours, in the form of a published run that differs from its description."""


def forms(design: Design) -> tuple[str, ...]:
    """One line for designs as described, and loose points for those as published."""
    return (AS_PUBLISHED,) if design.as_published else ("",)


@dataclass(frozen=True)
class Quantity:
    """The quantity on the horizontal axis; NaN for designs without a point."""

    label: str
    of: Callable[[Design], float]
    log: bool = True
    text: Callable[[float], str] = short
    relative: bool = False
    """Whether values are divided by the value of the study's baseline."""


@dataclass(frozen=True)
class Against:
    """A figure of some studies: its quantities, with a panel each, and its lines."""

    studies: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    series: Callable[[Design], tuple[str, ...]] = forms
    """The lines that have a point of a design; the name is empty if there is only one line."""
    paper: Callable[[Line], Mapping[str, float]] = field(default=lambda line: published(line))
    """Variant -> published top-1, in points."""
    mark: Callable[[Design], str] = lambda _: ""
    """The label of a point."""
    loose: bool = False
    """Whether no points are joined."""

    def data(self, line: Line) -> pd.DataFrame:
        """One row per variant, quantity, series and source: `mean`, `half` and the `seeds` in points of top-1.

        `crossed` lists the trials of a variant that have not finished. Empty for other studies and without results.
        """
        if line.study not in self.studies or line.finished.empty:
            return pd.DataFrame()
        frame = pd.DataFrame([*self._ours(line), *self._published(line)]).dropna(subset="x")
        for quantity in self.quantities:
            if quantity.relative:
                frame = _relative(frame, quantity.label, line.baseline)
        return frame.sort_values(["source", "quantity", "series", "x"], kind="stable", ignore_index=True)

    def _ours(self, line: Line) -> Iterator[dict[str, Any]]:
        points = METRICS["top1"].of(line.trained).groupby(line.trained["variant"]).apply(list).to_dict()
        why, means = unfinished(line), top1(line)
        for design in designs(line):
            seeds = points.get(design.name, [])
            values = means[design.name].row("mean") | {"seeds": seeds, "crossed": why.get(design.name, "")}
            yield from self._points(OURS, design, values)

    def _published(self, line: Line) -> Iterator[dict[str, Any]]:
        known = self.paper(line)
        for design in original_designs(line):
            if not math.isnan(top1 := known.get(design.name, math.nan)):
                values = {"mean": top1, "half": math.nan, "n": 1, "seeds": [], "crossed": ""}
                yield from self._points(PAPER, design, values)

    def _points(self, source: str, design: Design, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        own = {"source": source, "variant": design.name, "mark": self.mark(design)} | values
        for quantity in self.quantities:
            for series in self.series(design):
                yield own | {"quantity": quantity.label, "series": series, "x": quantity.of(design)}

    def height(self, frame: pd.DataFrame) -> float:
        """The height of the rows of panels."""
        return 0.5 + PANEL_INCHES * self._shape(frame)[0]

    def _shape(self, frame: pd.DataFrame) -> tuple[int, int]:
        """Rows and columns: sources side by side, or quantities side by side with a row per source."""
        sources = frame["source"].nunique()
        return (1, sources) if len(self.quantities) == 1 else (sources, len(self.quantities))

    def draw(self, frame: pd.DataFrame, ax: Axes) -> None:
        """A panel per source and quantity; the panels of one source share the axis of accuracy."""
        rows, columns = self._shape(frame)
        panels = style.fill(ax, rows * columns, columns)
        sources = [source for source in (OURS, PAPER) if (frame["source"] == source).any()]
        shown = [(source, quantity) for source in sources for quantity in self.quantities]
        ticks = TICK_INCHES / (WIDTH_INCHES / columns - 0.9)
        for panel, (source, quantity) in zip(panels, shown, strict=True):
            of_source = frame[frame["source"] == source]
            last = of_source["quantity"].map([each.label for each in self.quantities].index).max()
            panel.set_ylim(*style.reach(of_source, "mean", of_source["seeds"].explode().astype(float).tolist()))
            own = of_source[of_source["quantity"] == quantity.label]
            _panel(panel, own, quantity, ticks, self.loose)
            if quantity is self.quantities[last]:
                _name_series(panel, own)


def _relative(frame: pd.DataFrame, quantity: str, baseline: str) -> pd.DataFrame:
    own = frame["quantity"] == quantity
    units = frame[own & (frame["variant"] == baseline)].set_index("source")["x"]
    return frame.assign(x=frame["x"].where(~own, frame["x"] / frame["source"].map(units)))


def designs(line: Line) -> Iterator[Design]:
    """Our variants in the study's order."""
    grouped = line.trials.groupby("variant")
    summaries, speed = grouped["summary"].first(), grouped["images_per_s"].mean()
    macs = line.trials["macs"].astype(float).groupby(line.trials["variant"]).max()
    for name, recipe in line.recipes.items():
        clean = f"{name}{CLEAN}" in line.variants
        own = str(summaries.get(name, "")), recipe, float(macs[name]), float(speed[name])
        yield Design(name, *own, ours=True, as_published=clean)


def original_designs(line: Line) -> Iterator[Design]:
    """The variants of a shipped study as the paper ran them, on ImageNet."""
    for variant in find_study(line.study).variants:
        recipe = variant.apply(Recipe())
        cost = goldens().get(cost_key(recipe))
        yield Design(variant.name, variant.summary, recipe, cost.macs if cost else math.nan, math.nan, ours=False)


def published(line: Line) -> dict[str, float]:
    """Variant -> published top-1, in points."""
    known = METRICS["published_top1"].of(published_study(line.study, line.baseline))
    return {str(variant): float(top1) for variant, top1 in known.items()}


def _panel(panel: Axes, frame: pd.DataFrame, quantity: Quantity, ticks: float, loose: bool) -> None:
    if frame.empty:
        panel.set_axis_off()
        panel.text(0.5, 0.5, "not published", transform=panel.transAxes, ha="center", color=style.FAINT, fontsize=7)
        return
    _axis(panel, frame["x"], quantity, ticks)
    for name, shade in _shades(frame).items():
        _line(panel, frame[frame["series"] == name], shade, loose or name in LOOSE)
    source = frame["source"].iloc[0]
    style.title(panel, OURS if source == OURS else style.PUBLISHED_ON)


def _shades(frame: pd.DataFrame) -> dict[str, str]:
    plain = style.OURS if frame["source"].iloc[0] == OURS else style.PUBLISHED
    named = {name: style.colour(name, number) for number, name in enumerate(dict.fromkeys(frame["series"]))}
    return named | ({"": plain} if "" in named else {}) | {name: style.FAINT for name in LOOSE if name in named}


def _name_series(panel: Axes, frame: pd.DataFrame) -> None:
    last = frame.dropna(subset="mean").groupby("series", sort=False).tail(1).set_index("series")
    shades = _shades(frame)
    tips = {str(name): (row["mean"], shades[str(name)]) for name, row in last.iterrows() if name}
    style.label_ends(panel, tips, PANEL_INCHES - 0.65)


def _axis(panel: Axes, values: pd.Series, quantity: Quantity, ticks: float) -> None:
    low, high = values.min(), values.max()
    if quantity.log:
        panel.set_xscale("log")
        room = (high / low) ** 0.06 if high > low else 2.0
        panel.set_xlim(low / room, high * room)
    else:
        room = 0.06 * (high - low) or 1.0
        panel.set_xlim(low - room, high + room)
    style.small(panel, quantity.label, METRICS["top1"].label, (0, 5))
    style.ticks_at(panel, list(values), quantity.text, ticks)


def _line(panel: Axes, rows: pd.DataFrame, shade: str, loose: bool) -> None:
    known = rows.dropna(subset="mean")
    seeds = known.explode("seeds")
    panel.plot(seeds["x"], seeds["seeds"].astype(float), "o", ms=2.2, color=shade, alpha=0.45, mec="none", zorder=3)
    bars = known["half"].fillna(0)
    ours = (rows["source"] == OURS).all()
    hollow = rows["series"].isin(LOOSE).all()
    join = "" if loose else "-" if ours else "--"
    panel.errorbar(known["x"], known["mean"], bars.where(bars > 0), ls=join, lw=1.2, ms=3.2, capsize=2,
                   marker="o" if ours else "D", mfc="white" if hollow else shade, color=shade, elinewidth=0.9,
                   zorder=4)  # fmt: skip
    lost = rows[rows["mean"].isna()]
    panel.plot(lost["x"], [0.035] * len(lost), "x", ms=5, color=style.TROUBLE, transform=panel.get_xaxis_transform())
    _name_points(panel, known, shade)


def _name_points(panel: Axes, frame: pd.DataFrame, shade: str) -> None:
    """Label the points at their right, without overlaps in a column."""
    known = frame[(frame["mark"] != "") & frame["mean"].notna()]
    (low, high), (left, right) = panel.get_ylim(), panel.get_xlim()
    column = ((known["x"] - left) / (right - left) / COLUMN).round()
    for _, rows in known.groupby(column):
        places = style.spread(((rows["mean"] - low) / (high - low)).tolist(), 0.105 / (PANEL_INCHES - 0.65))
        for (_, row), place in zip(rows.iterrows(), places, strict=True):
            at = low + place * (high - low)
            panel.annotate(row["mark"], (row["x"], at), (5, 0), textcoords="offset points", fontsize=6.5, va="center",
                           color=shade)  # fmt: skip


NOTE = (
    f"Points: means over seeds with their {MEAN_INTERVAL}; pale: single seeds. "
    "Diamonds: published, one run each, on ImageNet."
)


def add(name: str, summary: str, source: str, against: Against, note: str = NOTE) -> None:
    """Register a figure of this kind."""
    FIGURES.add(name, summary, source)(Figure(against.data, against.draw, against.height, note, order=10))
