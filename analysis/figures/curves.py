"""Training curves: top-1 and training loss against epochs, one panel a variant with the baseline behind."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from analysis.figures import FIGURES, Figure
from analysis.load import Line
from analysis.stats import POINTS

COLUMNS = 4
LEGEND = "grey: the baseline, dashed: training loss"
CHARACTERS = 16
"""Of a caption, in an inch."""
TOP1, LOSS, BEHIND = "#0072B2", "#D55E00", "#B8B8B8"
MOST_POINTS = 24
"""Curves of more epochs than this are drawn without markers."""


def data(line: Line) -> pd.DataFrame:
    """One row a variant and epoch: mean, smallest and largest over seeds of `top1` (points) and `train_loss` (nats)."""
    epochs = line.epochs.assign(top1=POINTS * line.epochs["top1"])
    grouped = epochs.groupby(["order", "variant", "epoch"], sort=True)[["top1", "train_loss"]]
    frame = grouped.agg(["mean", "min", "max"])
    frame.columns = ["_".join(names) for names in frame.columns]
    return frame.reset_index().assign(baseline=lambda rows: rows["variant"] == line.baseline)


def draw(frame: pd.DataFrame, caption: str) -> Canvas:
    """Small multiples that share their axes; the band spans the seeds."""
    variants = list(dict.fromkeys(frame["variant"]))
    columns = min(COLUMNS, len(variants))
    rows = -(-len(variants) // columns)
    width, height = 0.9 + 2.15 * columns, 1.0 + 1.55 * rows
    canvas, axes = plt.subplots(rows, columns, figsize=(width, height), sharex=True, sharey=True, squeeze=False)
    twins = [_panel(ax, frame, variant) for ax, variant in zip(axes.flat, variants, strict=False)]
    _share(twins)
    for number, ax in enumerate(axes.flat):
        ax.set_visible(number < len(variants))
        ax.tick_params(labelbottom=number + columns >= len(variants))
    canvas.suptitle(
        textwrap.fill(f"{caption}; {LEGEND}", round(CHARACTERS * width)), x=0.02, ha="left", fontsize=8, color="#555555"
    )
    canvas.tight_layout(rect=(0.22 / width, 0.25 / height, 1 - 0.22 / width, 1 - 0.05 / height), h_pad=0.9, w_pad=0.6)
    _label(canvas, twins, columns, height)
    return canvas


def _panel(ax: Axes, frame: pd.DataFrame, variant: str) -> Axes:
    own, base = frame[frame["variant"] == variant], frame[frame["baseline"]]
    marker = "o" if len(own) <= MOST_POINTS else ""
    ax.plot(base["epoch"], base["top1_mean"], color=BEHIND, lw=2.4)
    ax.fill_between(own["epoch"], own["top1_min"], own["top1_max"], color=TOP1, alpha=0.2, lw=0)
    ax.plot(own["epoch"], own["top1_mean"], color=TOP1, marker=marker, ms=2.5)
    loss = ax.twinx()
    loss.plot(own["epoch"], own["train_loss_mean"], color=LOSS, lw=1.1, ls=(0, (4, 2)))
    loss.grid(visible=False)
    ax.set_title(variant, fontsize=8.5)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return loss


def _share(twins: list[Axes]) -> None:
    # matplotlib shares what subplots made, not what twinx adds.
    limits = [twin.get_ylim() for twin in twins]
    for twin in twins:
        twin.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _label(canvas: Canvas, twins: list[Axes], columns: int, height: float) -> None:
    for number, twin in enumerate(twins):
        last = number % columns == columns - 1 or number == len(twins) - 1
        twin.tick_params(axis="y", right=False, labelright=last, labelsize=7, labelcolor=LOSS)
        twin.spines["right"].set_visible(False)
    canvas.text(0.5, 0.08 / height, "epoch", ha="center", fontsize=9)
    words: dict[str, Any] = {"va": "center", "fontsize": 9}
    canvas.text(0.0, 0.5, "test top-1, %", rotation=90, color=TOP1, ha="left", **words)
    canvas.text(1.0, 0.5, "training loss, nats", rotation=270, color=LOSS, ha="right", **words)


FIGURES.add("curves", "training curves, one panel a variant with the baseline behind")(Figure(data, draw, order=2))
