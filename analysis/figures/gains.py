"""Gain of every variant over the baseline, in points of top-1, beside the published gain."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure as Canvas

from analysis.figures import FIGURES, Figure
from analysis.load import Line
from analysis.published import published_top1
from analysis.stats import POINTS, estimate, seed_gains

OURS, PAPER, SEED = "#0072B2", "#D55E00", "#56B4E9"
ROW_INCHES = 0.27


def data(line: Line) -> pd.DataFrame:
    """One row a variant, best first: `variant`, `gain`, `half`, `n`, `seeds` (gains), `published`, `note`.

    `note` says why there is no gain: diverged, failed, waiting. The baseline's own gain is 0 by definition.
    """
    paper = published_top1(line.study)
    paper_baseline = paper.get(line.baseline, math.nan)
    found = seed_gains(line)
    rows = []
    for variant, seeds in found.items():
        mean = estimate(seeds)
        rows.append(
            {
                "variant": variant,
                "baseline": variant == line.baseline,
                "gain": mean.mean,
                "half": mean.half,
                "n": mean.n,
                "seeds": seeds,
                "published": POINTS * (paper.get(variant, math.nan) - paper_baseline),
                "note": _note(line, variant),
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values("gain", ascending=False, na_position="last", kind="stable").reset_index(drop=True)


def _note(line: Line, variant: str) -> str:
    others = line.trials[(line.trials["variant"] == variant) & (line.trials["status"] != "finished")]
    counts = others["status"].value_counts().sort_index()
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def draw(frame: pd.DataFrame, caption: str) -> Canvas:
    """Horizontal rows, best on top; dots are seeds, bars intervals, diamonds the published gain."""
    canvas, ax = plt.subplots(figsize=(7.2, 1.3 + ROW_INCHES * len(frame)))
    for row, entry in enumerate(frame.itertuples()):
        _draw_row(ax, row, entry)
    _finish(ax, frame)
    ax.set_title(caption, fontsize=8, fontweight="normal", color="#555555", pad=24, wrap=True)
    return canvas


def _draw_row(ax: Axes, row: int, entry: object) -> None:
    values = entry._asdict()  # type: ignore[attr-defined]
    if not math.isnan(values["published"]):
        ax.plot(values["published"], row + 0.16, "D", ms=4.5, color=PAPER, mfc="white", mew=1.3)
    if values["baseline"]:
        ax.plot(0, row - 0.12, "o", ms=5.5, color="#444444")
    elif values["n"]:
        seeds = values["seeds"] if values["n"] > 1 else []
        ax.plot(seeds, [row - 0.12] * len(seeds), "o", ms=2.8, color=SEED, zorder=2)
        half = None if math.isnan(values["half"]) else values["half"]
        ax.errorbar(values["gain"], row - 0.12, xerr=half, fmt="o", ms=5.5, color=OURS, capsize=2.5, zorder=3)
    if values["note"]:
        ax.annotate(
            values["note"], (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color="#B03A2E"
        )


def _finish(ax: Axes, frame: pd.DataFrame) -> None:
    ax.axvline(0, color="#444444", lw=1)
    ax.set_yticks(range(len(frame)), [_label(entry) for entry in frame.itertuples()])
    ax.set_ylim(len(frame) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.06)
    ax.set_xlabel("gain over the baseline, points of top-1")
    handles: list[Artist | Container] = [ax.plot([], [], "o", ms=5.5, color=OURS, label="ours: mean over seeds")[0]]
    if frame["half"].notna().any():
        handles.append(ax.errorbar([], [], xerr=[], fmt="none", color=OURS, capsize=2.5, label="95 % interval"))
        handles.append(ax.plot([], [], "o", ms=2.8, color=SEED, label="one seed")[0])
    if frame["published"].notna().any():
        handles.append(ax.plot([], [], "D", ms=4.5, color=PAPER, mfc="white", mew=1.3, label="published")[0])
    ax.legend(handles=handles, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.4)


def _label(entry: object) -> str:
    values = entry._asdict()  # type: ignore[attr-defined]
    seeds = "baseline" if values["baseline"] else f"n = {values['n']}"
    return f"{values['variant']}  ({seeds})"


FIGURES.add("gains", "gain of every variant over the baseline beside the published gain")(Figure(data, draw, order=1))
