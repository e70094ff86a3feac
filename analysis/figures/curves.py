"""Training curves: top-1 and training loss against epochs, one panel a variant with the baseline behind."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.figures import FIGURES, Figure
from analysis.figures._look import BEHIND, FAINT, TROUBLE, split
from analysis.load import Line
from analysis.metrics import METRICS
from analysis.statistics.comparisons import gains, near, unfinished

COLUMNS = 5
PANEL_INCHES = (1.62, 1.12)
COLOURS = {"top1": "C0", "train_loss": "C1"}
MOST_POINTS = 16
"""Curves of more epochs than this are drawn without markers."""
MOST_PANELS = 40
"""Of a search with more variants the best have a panel."""


def data(metric: str, line: Line) -> pd.DataFrame:
    """One row a variant and epoch: `mean`, `low` and `high` over seeds; the baseline first, then the best by our gain.

    A variant without any epoch has one row without numbers. `note` says which of its trials have not finished. Empty
    for an architecture search, which has no baseline.
    """
    if line.is_architecture_search:
        return pd.DataFrame(columns=["variant", "epoch", "mean"])
    values = line.epochs.assign(value=METRICS[metric].of)
    grouped = values.groupby(["variant", "epoch"])["value"]
    frame = grouped.agg(mean="mean", low="min", high="max").reset_index()
    order, notes = ranking(line)[:MOST_PANELS], unfinished(line)
    known = pd.DataFrame({"variant": order, "rank": range(len(order)), "note": [notes.get(name, "") for name in order]})
    joined = known.merge(frame, on="variant", how="left").sort_values(["rank", "epoch"], ignore_index=True)
    return joined.assign(baseline=joined["variant"] == line.baseline, metric=metric)


def ranking(line: Line) -> list[str]:
    """The baseline, then the others, largest gain first; those without a gain last, in the study's order."""
    found = gains(line)
    others = [variant for variant in line.variants if variant != line.baseline]
    measured = sorted((v for v in others if found[v].n), key=lambda v: -found[v].mean)
    return [line.baseline, *measured, *(v for v in others if not found[v].n)]


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Panels of one size, however many."""
    rows, columns = _shape(frame["variant"].nunique())
    return max(0.5 + PANEL_INCHES[0] * columns, 3.2), 0.45 + PANEL_INCHES[1] * rows


def _shape(count: int) -> tuple[int, int]:
    columns = min(COLUMNS, count)
    return -(-count // columns), columns


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Small multiples in the place of `ax`, which share their axes."""
    variants = list(dict.fromkeys(frame["variant"]))
    rows, columns = _shape(len(variants))
    panels = [panel for row in split(ax, rows, columns, share=True) for panel in row]
    for number, (panel, variant) in enumerate(zip(panels, variants, strict=False)):
        _panel(panel, frame, variant)
        _label(panel, frame, left=number % columns == 0, bottom=number + columns >= len(variants))
    for empty in panels[len(variants) :]:
        empty.remove()
    if frame["mean"].notna().any():
        _scale(panels[0], frame["low"].min(), near(frame["high"].dropna()).max())


def _scale(panel: Axes, low: float, high: float) -> None:
    # A loss on its way to infinity would press all others flat.
    margin = 0.06 * (high - low) or 1.0
    panel.set_ylim(low - margin, high + margin)


def _panel(panel: Axes, frame: pd.DataFrame, variant: str) -> None:
    own, base = frame[frame["variant"] == variant], frame[frame["baseline"]]
    colour = BEHIND if own["baseline"].all() else COLOURS[frame["metric"].iloc[0]]
    few = frame["epoch"].max() <= MOST_POINTS
    panel.plot(base["epoch"], base["mean"], color=BEHIND, lw=2)
    panel.fill_between(own["epoch"].astype(float), own["low"], own["high"], color=colour, alpha=0.22, lw=0)
    panel.plot(own["epoch"], own["mean"], color=colour, lw=1.3, marker="o" if few else "", ms=2)
    panel.set_title(variant, fontsize=7.5, fontweight="normal", pad=2.5, parse_math=False)
    said = own["note"].iloc[0] or ("" if own["mean"].notna().any() else "no epochs")
    corner: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "ha": "right",
        "fontsize": 6.5,
    }
    height = 0.04 if frame["metric"].iloc[0] == "top1" else 0.82
    panel.annotate(said, (1, height), (-2, 0), **corner, color=TROUBLE)


def _label(panel: Axes, frame: pd.DataFrame, left: bool, bottom: bool) -> None:
    panel.tick_params(labelsize=6.5, labelleft=left, labelbottom=bottom, length=2, color=FAINT)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    if left:
        panel.set_ylabel(METRICS[frame["metric"].iloc[0]].label, fontsize=7)
    if bottom:
        panel.set_xlabel("epoch", fontsize=7, labelpad=1)


NOTE = (
    "Lines: mean over seeds; bands: smallest to largest; grey: the baseline; panels in the order of the gains. "
    "Values far above all others leave their panel."
)
for _order, (_metric, _what) in enumerate({"top1": "top-1", "train_loss": "training loss"}.items(), start=2):
    FIGURES.add(f"curves_{_metric}", f"{_what} against epochs, one panel a variant with the baseline behind")(
        Figure(partial(data, _metric), draw, size, NOTE, _order, MOST_PANELS)
    )
