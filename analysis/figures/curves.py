"""Training curves: top-1 and training loss against epochs, one panel per variant with the baseline in grey."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import gains, near, over_seeds, unfinished

COLUMNS = 5
PANEL_INCHES = (1.62, 1.12)
COLOURS = {"top1": "C0", "train_loss": "C1"}
MOST_POINTS = 16
"""Most epochs of curves with markers."""
MOST_PANELS = 40
"""Most variants with a panel: the best ones."""


def data(metric: str, line: Line) -> pd.DataFrame:
    """One row per variant and epoch: `mean`, `low`, `high` over seeds; the baseline first, then by decreasing gain.

    A variant without epochs has one row without numbers. `note` lists its trials that have not finished. Empty for an
    architecture search, which has no baseline.
    """
    if line.is_architecture_search:
        return pd.DataFrame(columns=["variant", "epoch", "mean"])
    frame = over_seeds(line.epochs, metric, ["variant", "epoch"])
    order, notes = ranking(line)[:MOST_PANELS], unfinished(line)
    known = pd.DataFrame({"variant": order, "rank": range(len(order)), "note": [notes.get(name, "") for name in order]})
    joined = known.merge(frame, on="variant", how="left").sort_values(["rank", "epoch"], ignore_index=True)
    return joined.assign(baseline=joined["variant"] == line.baseline, metric=metric)


def ranking(line: Line) -> list[str]:
    """The baseline, then the variants with the largest gain first, then those without a gain in the study's order."""
    found = gains(line)
    others = (variant for variant in line.variants if variant != line.baseline)
    return [line.baseline, *sorted(others, key=lambda v: -found[v].mean if found[v].n else math.inf)]


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw small multiples that share their axes."""
    variants = list(dict.fromkeys(frame["variant"]))
    panels = style.fill(ax, len(variants), COLUMNS, share=True)
    for panel, variant in zip(panels, variants, strict=True):
        _panel(panel, frame, variant)
    style.label_edges(panels, COLUMNS, "epoch", METRICS[frame["metric"].iloc[0]].label)
    finite = frame[["low", "high"]].where(np.isfinite)
    if finite["low"].notna().any():
        # The highest value may be a loss that grows without bound, which would flatten all other curves.
        low, high = finite["low"].min(), near(finite["high"].fillna(finite["low"]).dropna()).max()
        margin = 0.06 * (high - low) or 1.0
        panels[0].set_ylim(low - margin, high + margin)


def _panel(panel: Axes, frame: pd.DataFrame, variant: str) -> None:
    own, base = frame[frame["variant"] == variant], frame[frame["baseline"]]
    colour = style.BEHIND if own["baseline"].all() else COLOURS[frame["metric"].iloc[0]]
    few = frame["epoch"].max() <= MOST_POINTS
    panel.plot(base["epoch"], base["mean"], color=style.BEHIND, lw=2)
    panel.fill_between(own["epoch"].astype(float), own["low"], own["high"], color=colour, alpha=0.22, lw=0)
    panel.plot(own["epoch"], own["mean"], color=colour, lw=1.3, marker="o" if few else "", ms=2)
    style.title(panel, variant)
    note = own["note"].iloc[0] or ("" if own["mean"].notna().any() else "no epochs")
    style.in_corner(panel, note, 0.04 if frame["metric"].iloc[0] == "top1" else 0.82, style.TROUBLE)
    style.small(panel, ticks=(0, 4))
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))


NOTE = (
    "Lines: mean over seeds; bands: smallest to largest seed; grey: the baseline. Panels are ordered by gain. "
    "Values far above all others leave their panel."
)
for _order, (_metric, _what) in enumerate({"top1": "top-1", "train_loss": "training loss"}.items(), start=2):
    FIGURES.add(f"curves_{_metric}", f"{_what} against epochs, one panel per variant with the baseline in grey")(
        Figure(
            partial(data, _metric),
            draw,
            stacked(0.45, PANEL_INCHES[1], "variant", across=COLUMNS),
            NOTE,
            _order,
            MOST_PANELS,
            width=lambda frame: max(0.5 + PANEL_INCHES[0] * min(COLUMNS, frame["variant"].nunique()), 3.2),
        )
    )
