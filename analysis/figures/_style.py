"""The common style of the figures: colours with one meaning everywhere, panels, labels, axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import Estimate

OURS, PUBLISHED, SEED = "C0", "C1", "C5"
DARK, TROUBLE, BEHIND, FAINT = "#444444", "#A33327", "#A8A8A8", "#777777"
SERIES = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#332288")
"""Colours of series that are neither ours nor published; Okabe & Ito 2008, and three of Tol's muted scheme."""
NAMED: Mapping[str, str] = (
    dict(zip(("lsuv", "orthonormal", "orthonormal_he", "xavier", "he", "glorot", "gaussian"), SERIES, strict=False))
    | {"lsuv_released": SERIES[7]}
    | dict(zip(("caffenet", "nin", "squeezenet1_1", "googlenet", "vgg16", "resnet50"), SERIES, strict=False))
    | {"vgg": SERIES[4], "resnet": SERIES[5], "plain": SERIES[1], "alexnet": SERIES[0]}
    | {"constant rate": SERIES[1], "rate scaled with the batch": SERIES[0], "other rates": SERIES[4]}
    | {"scaled": SERIES[0], "not scaled": SERIES[1]}
)
"""Series -> its colour in every figure."""
KEY_CHARACTERS_PER_INCH, MARK_CHARACTERS = 17, 5
"""Characters of a key per inch, and the width in characters of the mark before each name."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PUBLISHED_ON = "published (ImageNet)"


def colour(name: str, number: int = 0) -> str:
    """The colour of a series, or the `number`-th colour if the series has none of its own."""
    return NAMED.get(name, SERIES[number % len(SERIES)])


def split(ax: Axes, rows: int, columns: int, share: bool = False, **options: Any) -> list[list[Axes]]:
    """Replace `ax` with a grid of panels, returned by row; with `share` all have the axes of the first."""
    spec = ax.get_subplotspec()
    assert spec is not None
    ax.remove()
    grid = spec.subgridspec(rows, columns, **options)
    panels: list[list[Axes]] = grid.subplots(sharex=share, sharey=share, squeeze=False).tolist()
    return panels


def fill(ax: Axes, count: int, columns: int = 2, share: bool = False) -> list[Axes]:
    """Replace `ax` with `count` panels, filled row by row; a single one takes the whole width."""
    columns = min(columns, count)
    panels = [panel for row in split(ax, -(-count // columns), columns, share) for panel in row]
    for empty in panels[count:]:
        empty.remove()
    return panels[:count]


def label_edges(panels: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Label the axes of panels that share them: those at the left, and the lowest of each column."""
    for number, panel in enumerate(panels):
        left, bottom = number % columns == 0, number + columns >= len(panels)
        panel.tick_params(labelleft=left, labelbottom=bottom)
        panel.set_ylabel(y if left else "", fontsize=7)
        panel.set_xlabel(x if bottom else "", fontsize=7, labelpad=1)


def title(ax: Axes, text: str) -> None:
    """Set the heading of a panel."""
    ax.set_title(text, fontsize=7.5, fontweight="normal", pad=3)


def small(ax: Axes, x: str = "", y: str = "", ticks: tuple[int, int] = (0, 0)) -> None:
    """Label the axes of a panel in small letters, with at most `ticks` intervals on each; 0 leaves the ticks as is."""
    ax.tick_params(labelsize=6.5, length=2, color=FAINT)
    if x:
        ax.set_xlabel(x, fontsize=7, labelpad=1)
    if y:
        ax.set_ylabel(y, fontsize=7, labelpad=2)
    for axis, most in zip((ax.xaxis, ax.yaxis), ticks, strict=True):
        if most:
            axis.set_major_locator(MaxNLocator(most))


def name_rows(ax: Axes, names: Sequence[str], size: float | None = None) -> None:
    """Label horizontal rows, the first one on top, without ticks and lines between them."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0, **({"labelsize": size} if size else {}))
    ax.grid(axis="y", visible=False)


def right_of(ax: Axes, row: float, text: str, shift: float, size: float, shade: str = DARK) -> None:
    """Write a text to the right of a row, `shift` points beyond the edge of the axes."""
    ax.annotate(text, (1, row), (shift, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=size,
                color=shade)  # fmt: skip


def in_corner(ax: Axes, text: str, height: float, shade: str, rise: float = 0) -> None:
    """Write a text at the right edge inside the axes, at a share of their height and `rise` points above it."""
    ax.annotate(text, (1, height), (-2, rise), "axes fraction", "offset points", ha="right", fontsize=6.5, color=shade)


def legend_above(ax: Axes, marks: Sequence[Line2D]) -> None:
    """Put a legend of one line above the axes, at the right."""
    ax.legend(handles=marks, ncols=len(marks), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def log_ticks(axis: Axis, text: Callable[[float], str], subs: Sequence[float] | None = None) -> None:
    """Label the major ticks of a logarithmic axis, at `subs` times the powers of ten, and no minor ones."""
    if subs:
        axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_formatter(lambda value, _: "")


def power_of_ten(value: float) -> str:
    """A power of ten with its exponent in superscript, as text: formulas are off, since names may look like them."""
    return f"10{str(round(math.log10(value))).translate(SUPERSCRIPTS)}"


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The values in their order, moved as little as possible to be at least `gap` apart."""
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    moved = isotonic_regression(np.asarray(values, float)[order] - steps).x + steps
    found = np.empty(len(values))
    found[order] = moved
    return [float(value) for value in found]


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, str]], height: float) -> None:
    """Label lines at the right of the axes without overlaps: name -> height of its end and colour.

    `height` is that of the axes in inches. The limits of the axes must be set.
    """
    low, high = ax.get_ylim()
    shares = [(y - low) / (high - low) for y, _ in ends.values()]
    places = spread(shares, 0.115 / height)
    shift = max(0.0, -min(places, default=0.0)) - max(0.0, max(places, default=1.0) - 1)
    for (name, (_, shade)), share, place in zip(ends.items(), shares, places, strict=True):
        ax.annotate(name, (1, min(max(share, 0), 1)), (1.05, place + shift), "axes fraction", "axes fraction",
                    va="center", fontsize=6.5, color=shade,
                    arrowprops={"arrowstyle": "-", "color": shade, "lw": 0.5, "shrinkA": 0, "shrinkB": 0})  # fmt: skip


def key_above(panel: Axes, names: Sequence[str]) -> None:
    """Put the colours of series above the picture that has this panel, in as few lines as possible."""
    marks = [Line2D([], [], color=colour(name, number), label=name) for number, name in enumerate(names)]
    canvas = panel.get_figure(root=True)
    assert canvas is not None
    fitting = int(KEY_CHARACTERS_PER_INCH * canvas.get_figwidth() / (max(map(len, names)) + MARK_CHARACTERS))
    canvas.legend(handles=marks, ncols=min(len(marks), max(1, fitting)), loc="outside upper left", fontsize=7,
                  handlelength=1.2, columnspacing=1.2, borderpad=0)  # fmt: skip


def ticks_at(ax: Axes, values: Sequence[float], text: Callable[[float], str], least: float) -> None:
    """Set the ticks of a horizontal axis to these values, skipping any closer than `least` of the axis to the last."""
    low, high = (_position(ax, end) for end in ax.get_xlim())
    kept: list[float] = []
    for value in sorted(set(values)):
        if not kept or _position(ax, value) - _position(ax, kept[-1]) >= least * (high - low):
            kept.append(value)
    ax.xaxis.set_major_locator(FixedLocator(kept))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: text(value))


def _position(ax: Axes, value: float) -> float:
    return math.log(value) if ax.get_xscale() == "log" else value


def rise(values: Sequence[float], share: float = 0.08, least: float = 0.5) -> tuple[float, float]:
    """Ends of an axis that shows all values except NaN, with a margin on both sides."""
    known = [value for value in values if not math.isnan(value)] or [0.0, 1.0]
    margin = max(share * (max(known) - min(known)), least)
    return min(known) - margin, max(known) + margin


def reach(frame: pd.DataFrame, mean: str, others: Sequence[float] = ()) -> tuple[float, float]:
    """Ends of an axis that shows the means of a frame with their intervals, and other values."""
    half = frame["half"].fillna(0)
    return rise([*(frame[mean] - half), *(frame[mean] + half), *others])


def cross(panel: Axes, row: float, at: float = 0.01) -> None:
    """Mark the row of a variant without a mean at the left, at a share of the width of the axes."""
    panel.plot(at, row, "x", ms=5, color=TROUBLE, transform=panel.get_yaxis_transform())


def gain_row(panel: Axes, row: float, entry: Any) -> None:
    """Draw a gain, the published one and its number in a row; gains and half-widths are in points."""
    if not math.isnan(entry.published):
        panel.plot(entry.published, row + 0.2, "D", ms=3.6, color=PUBLISHED, zorder=3)
    number = "baseline" if entry.baseline else Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"])
    if entry.baseline:
        panel.plot(0, row - 0.12, "s", ms=4, color=DARK, zorder=4)
    elif math.isnan(entry.gain):
        if entry.crossed:
            cross(panel, row - 0.12, 0.02)
    else:
        face = OURS if abs(entry.gain) > entry.half else "white"
        panel.errorbar(entry.gain, row - 0.12, xerr=entry.half, fmt="o", ms=4.5, color=OURS, mfc=face, lw=1.2,
                       capsize=2, zorder=4)  # fmt: skip
    right_of(panel, row, number, 5, 6.5)
