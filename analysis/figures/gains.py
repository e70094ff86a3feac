"""Gain of every variant over the baseline, in points of top-1, with the published gain."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import (
    INTERVAL,
    Estimate,
    comparisons,
    gains,
    near,
    run_gains,
    unfinished,
)
from raysweep.deciding.verdicts import Outcome

ROW_INCHES = 0.235
MOST_ROWS = 60
"""Most variants with a row: the best ones and the baseline; the table has all."""
ABOVE, BELOW = -0.14, 0.2
"""Heights of our gain and of the published one in a row, so that neither covers the other."""
INSET = 0.012
"""Distance of an arrowhead from the edge, as a share of the axis."""
LEAST_POINTS = 0.5
"""Least margin of the axis on both sides, in points of gain."""


def data(line: Line) -> pd.DataFrame:
    """One row per variant, best first: `variant`, `gain`, `half`, `n`, `sure`, `seeds` (gains), `published`, `note`.

    `sure` means that the verdict is better or worse. Variants that did not train come last. `note` says why seeds are
    missing: diverged, failed, waiting. The gain of the baseline is 0 by definition. Empty for an architecture search,
    which has no baseline.
    """
    if line.is_architecture_search:
        return pd.DataFrame(columns=["variant", "gain"])
    paper = METRICS["published_gain"].of(published_study(line.study, line.baseline))
    found, seeds, notes, judged = gains(line), run_gains(line), unfinished(line), comparisons(line)
    rows = [
        {
            "variant": variant,
            "baseline": variant == line.baseline,
            "sure": variant in judged and judged[variant].verdict in (Outcome.BETTER, Outcome.WORSE),
            "last": variant in judged and judged[variant].verdict == Outcome.DID_NOT_TRAIN,
            "seeds": seeds[variant],
            "published": paper.get(variant, math.nan),
            "note": notes.get(variant, ""),
        }
        | found[variant].row()
        for variant in line.variants
    ]
    frame = pd.DataFrame(rows)
    order = frame["gain"].where(~frame["last"], frame["gain"].min() - 1)
    best = frame.iloc[(-order).argsort(kind="stable")].reset_index(drop=True)
    kept: pd.DataFrame = best[(best.index < MOST_ROWS) | best["baseline"]]
    return kept.reset_index(drop=True)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw horizontal rows, the best variant on top."""
    ax.axvline(0, color=style.DARK, lw=0.9, zorder=1)
    ax.set_xlim(*limits(frame))
    style.name_rows(ax, [str(name) for name in frame["variant"]])
    for row, entry in enumerate(frame.itertuples()):
        _draw_row(ax, row, entry)
    ax.set_xlabel("gain over the baseline, points of top-1")
    style.legend_above(ax, _legend(frame))


def limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis, which includes 0 but not values so far out that the others could not be distinguished."""
    gain, half = frame["gain"], frame["half"]
    values = pd.concat([gain, frame["published"], frame["seeds"].explode().astype(float), gain - half, gain + half])
    shown = [0.0, *near(values.dropna())]
    margin = max(0.05 * (max(shown) - min(shown)), LEAST_POINTS)
    return min(shown) - margin, max(shown) + margin


def _draw_row(ax: Axes, row: int, entry: Any) -> None:
    if not math.isnan(entry.published):
        _point(ax, entry.published, row + BELOW, marker="D", ms=4, color=style.PUBLISHED, mfc=style.PUBLISHED)
        if not _inside(ax, entry.published):
            _number_at_edge(ax, entry.published, row + BELOW)
    if entry.baseline:
        ax.plot(0, row + ABOVE, "s", ms=5, color=style.DARK, zorder=4)
    elif entry.n:
        _interval(ax, entry.gain, entry.half, row + ABOVE)
        _seeds(ax, entry.seeds if entry.n > 1 else [], row + ABOVE)
        face = style.OURS if entry.sure else "white"
        _point(ax, entry.gain, row + ABOVE, marker="o", ms=5.5, color=style.OURS, mfc=face)
    number = "baseline" if entry.baseline else Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"])
    style.right_of(ax, row, number, 8, 7.5)
    if entry.note:
        style.right_of(ax, row, f"n = {entry.n}, {entry.note}" if entry.n else entry.note, 66, 7.5, style.TROUBLE)


def _interval(ax: Axes, mean: float, half: float, y: float) -> None:
    if math.isnan(half):
        return
    ax.plot([mean - half, mean + half], [y, y], color=style.OURS, lw=1.4, solid_capstyle="butt", zorder=2)
    ends = [end for end in (mean - half, mean + half) if _inside(ax, end)]
    ax.plot(ends, [y] * len(ends), "|", ms=5, color=style.OURS, zorder=2)


def _seeds(ax: Axes, seeds: Iterable[float], y: float) -> None:
    shown = [gain for gain in seeds if _inside(ax, gain)]
    ax.plot(shown, [y] * len(shown), "o", ms=2.6, color=style.SEED, mec="none", zorder=3)


def _point(ax: Axes, value: float, y: float, **options: Any) -> None:
    """Draw a mark, or an arrowhead at the edge if the value lies beyond the axis."""
    if _inside(ax, value):
        ax.plot(value, y, **options, mew=1.2, zorder=4)
        return
    low, high = ax.get_xlim()
    inset = INSET * (high - low)
    edge, marker = (low + inset, "<") if value < low else (high - inset, ">")
    ax.plot(edge, y, **options | {"marker": marker, "ms": 5}, zorder=4)


def _number_at_edge(ax: Axes, value: float, y: float) -> None:
    # Our numbers are at the right of every row; the published one has no other place.
    low, high = ax.get_xlim()
    edge, shift, side = (low, 10, "left") if value < low else (high, -10, "right")
    text = METRICS["published_gain"].text(value)
    ax.annotate(text, (edge, y), (shift, 0), textcoords="offset points", ha=side, va="center", fontsize=6.5)


def _inside(ax: Axes, value: float) -> bool:
    low, high = ax.get_xlim()
    return low <= value <= high


def _legend(frame: pd.DataFrame) -> list[Line2D]:
    def mark(label: str, marker: str, colour: str, size: float, face: str = "") -> Line2D:
        return Line2D([], [], ls="", marker=marker, color=colour, ms=size, mfc=face or colour, mew=1.2, label=label)

    marks = [mark("ours", "o", style.OURS, 5.5, "white")] if not frame["sure"].all() else []
    if frame["half"].notna().any():
        marks.append(mark("ours, better or worse", "o", style.OURS, 5.5))
        marks.append(mark("single runs", "o", style.SEED, 2.2))
    if frame["published"].notna().any():
        marks.append(mark("published", "D", style.PUBLISHED, 4))
    return marks


NOTE = (
    f"Bars, for two or more seeds: {INTERVAL}. Variants with runs that did not train come last. "
    "Numbers at the right: mean gain and half-width of its interval. Arrowheads: values far beyond the axis."
)
FIGURES.add("gains", "gain of every variant over the baseline, with the published gain")(
    Figure(data, draw, stacked(0.85, ROW_INCHES, "variant"), NOTE, order=1, most=MOST_ROWS)
)
