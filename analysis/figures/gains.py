"""Gain of every variant over the baseline, in points of top-1, beside the published gain."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures import FIGURES, Figure
from analysis.figures._look import DARK, OURS, SEED, TROUBLE
from analysis.figures._look import PUBLISHED as PAPER
from analysis.load import Line
from analysis.metrics import METRICS
from analysis.published import published_study
from analysis.statistics.comparisons import INTERVAL, Estimate, gains, near, seed_gains, unfinished

ROW_INCHES = 0.235
MOST_ROWS = 60
"""Of a search with more variants the best have a row, and the baseline; the table has all."""
ABOVE, BELOW = -0.14, 0.2
"""Where in a row ours and the published gain lie, so that neither covers the other."""
INSET = 0.012
"""Of the axis: where at its edge an arrowhead stands."""
LEAST_POINTS = 0.5
"""Of gain that the axis shows on either side of all, however little the variants differ."""


def data(line: Line) -> pd.DataFrame:
    """One row a variant, best first: `variant`, `gain`, `half`, `n`, `sure`, `seeds` (gains), `published`, `note`.

    `sure`: the interval excludes 0. `note` says why seeds are missing: diverged, failed, waiting. The baseline's own
    gain is 0 by definition. Empty for an architecture search, which has no baseline.
    """
    if line.is_architecture_search:
        return pd.DataFrame(columns=["variant", "gain"])
    paper = METRICS["published_gain"].of(published_study(line.study, line.baseline))
    found, seeds, notes = gains(line), seed_gains(line), unfinished(line)
    rows = [
        {
            "variant": variant,
            "baseline": variant == line.baseline,
            "gain": found[variant].mean,
            "half": found[variant].half,
            "n": found[variant].n,
            "sure": found[variant].excludes_0,
            "seeds": seeds[variant],
            "published": paper.get(variant, math.nan),
            "note": notes.get(variant, ""),
        }
        for variant in line.variants
    ]
    frame = pd.DataFrame(rows)
    best = frame.sort_values("gain", ascending=False, na_position="last", kind="stable", ignore_index=True)
    kept: pd.DataFrame = best[(best.index < MOST_ROWS) | best["baseline"]]
    return kept.reset_index(drop=True)


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """One row a variant, and room for legend and axis."""
    return 7.4, 0.85 + ROW_INCHES * len(frame)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Horizontal rows, best on top."""
    low, high = limits(frame)
    ax.axvline(0, color=DARK, lw=0.9, zorder=1)
    ax.set_xlim(low, high)
    ax.set_ylim(len(frame) - 0.4, -0.6)
    for row, entry in enumerate(frame.itertuples()):
        _draw_row(ax, row, entry)
    ax.set_yticks(range(len(frame)), [str(name) for name in frame["variant"]], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("gain over the baseline, points of top-1")
    handles = _legend(frame)
    ax.legend(handles=handles, ncols=len(handles), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis, 0 within; a few values so far out that the others could not be told apart lie beyond."""
    gain, half = frame["gain"], frame["half"]
    values = pd.concat([gain, frame["published"], frame["seeds"].explode().astype(float), gain - half, gain + half])
    shown = [0.0, *near(values.dropna())]
    margin = max(0.05 * (max(shown) - min(shown)), LEAST_POINTS)
    return min(shown) - margin, max(shown) + margin


def _draw_row(ax: Axes, row: int, entry: Any) -> None:
    if not math.isnan(entry.published):
        _point(ax, entry.published, row + BELOW, marker="D", ms=4, color=PAPER, mfc=PAPER)
        if not _inside(ax, entry.published):
            _number_at_edge(ax, entry.published, row + BELOW)
    if entry.baseline:
        ax.plot(0, row + ABOVE, "s", ms=5, color=DARK, zorder=4)
    elif entry.n:
        _interval(ax, entry.gain, entry.half, row + ABOVE)
        _seeds(ax, entry.seeds if entry.n > 1 else [], row + ABOVE)
        _point(ax, entry.gain, row + ABOVE, marker="o", ms=5.5, color=OURS, mfc=OURS if entry.sure else "white")
    _beside(ax, row, entry)


def _interval(ax: Axes, mean: float, half: float, y: float) -> None:
    if math.isnan(half):
        return
    ax.plot([mean - half, mean + half], [y, y], color=OURS, lw=1.4, solid_capstyle="butt", zorder=2)
    ends = [end for end in (mean - half, mean + half) if _inside(ax, end)]
    ax.plot(ends, [y] * len(ends), "|", ms=5, color=OURS, zorder=2)


def _seeds(ax: Axes, seeds: Iterable[float], y: float) -> None:
    shown = [gain for gain in seeds if _inside(ax, gain)]
    ax.plot(shown, [y] * len(shown), "o", ms=2.6, color=SEED, mec="none", zorder=3)


def _point(ax: Axes, value: float, y: float, **look: Any) -> None:
    """A mark, or an arrowhead at the edge where the value lies beyond the axis."""
    if _inside(ax, value):
        ax.plot(value, y, **look, mew=1.2, zorder=4)
        return
    low, high = ax.get_xlim()
    inset = INSET * (high - low)
    edge, marker = (low + inset, "<") if value < low else (high - inset, ">")
    ax.plot(edge, y, **look | {"marker": marker, "ms": 5}, zorder=4)


def _number_at_edge(ax: Axes, value: float, y: float) -> None:
    # Ours stand at the right of every row; the published one has no other place.
    low, high = ax.get_xlim()
    edge, shift, side = (low, 10, "left") if value < low else (high, -10, "right")
    text = METRICS["published_gain"].text(value)
    ax.annotate(text, (edge, y), (shift, 0), textcoords="offset points", ha=side, va="center", fontsize=6.5)


def _inside(ax: Axes, value: float) -> bool:
    low, high = ax.get_xlim()
    return low <= value <= high


def _beside(ax: Axes, row: int, entry: Any) -> None:
    """Right of the row the numbers, and what did not finish."""
    number = "baseline" if entry.baseline else Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"])
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    ax.annotate(number, (1, row), (8, 0), **beside, fontsize=7.5, color=DARK)
    if entry.note:
        note = f"n = {entry.n}, {entry.note}" if entry.n else entry.note
        ax.annotate(note, (1, row), (66, 0), **beside, fontsize=7.5, color=TROUBLE)


def _legend(frame: pd.DataFrame) -> list[Line2D]:
    def mark(label: str, marker: str, colour: str, size: float, face: str = "") -> Line2D:
        return Line2D([], [], ls="", marker=marker, color=colour, ms=size, mfc=face or colour, mew=1.2, label=label)

    marks = [mark("ours", "o", OURS, 5.5, "white")] if not frame["sure"].all() else []
    if frame["half"].notna().any():
        marks.append(mark("ours, interval excludes 0", "o", OURS, 5.5))
        marks.append(mark("one seed", "o", SEED, 2.2))
    if frame["published"].notna().any():
        marks.append(mark("published", "D", PAPER, 4))
    return marks


NOTE = (
    f"Bars, where there are two seeds or more: {INTERVAL} of the gain, paired by seed. "
    "At the right the mean gain and the half-width of its interval; arrowheads: far beyond the axis."
)
FIGURES.add("gains", "gain of every variant over the baseline, beside the published gain")(
    Figure(data, draw, size, NOTE, order=1, most=MOST_ROWS)
)
