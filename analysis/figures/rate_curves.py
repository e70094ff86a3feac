"""Learning-rate policies: the rate and the accuracy against updates, one pair of panels per variant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.figures.curves import ranking
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.statistics.comparisons import INTERVAL, gains, over_seeds, unfinished
from raysweep.optim.schedules import learning_rate
from raysweep.recipe import Recipe
from raysweep.units import short

STUDIES = ("lr_policy", "lr_policy_bn")
RATE, TOP1 = "rate", "top1"
PANELS = 5
"""Number of pairs side by side."""
POINTS = 200
"""Most points of a schedule."""
PAIR_INCHES = 1.75


def data(line: Line) -> pd.DataFrame:
    """One row per point: `variant`, `curve` (rate, top1), `iteration`, `mean`, `low`, `high`, `gain`, `note`.

    Rates are computed from the recipes; top-1 (points) is over seeds. The baseline first, then by decreasing gain.
    """
    if line.study not in STUDIES:
        return pd.DataFrame()
    order = [variant for variant in ranking(line) if variant in line.recipes]
    found, notes = gains(line), unfinished(line)
    accuracies = over_seeds(line.epochs, "top1", ["variant", "iteration"]).assign(curve=TOP1)
    curves = pd.concat([*(_rates(variant, line.recipes[variant]) for variant in order), accuracies])
    about = pd.DataFrame(
        {
            "variant": order,
            "rank": range(len(order)),
            "baseline": [variant == line.baseline for variant in order],
            "gain": [NOTHING if v == line.baseline else found[v].text(METRICS["gain"]) for v in order],
            "note": [notes.get(variant, "") for variant in order],
        }
    )
    return curves.merge(about, on="variant").sort_values(["rank", "curve", "iteration"], ignore_index=True)


def _rates(variant: str, recipe: Recipe) -> pd.DataFrame:
    last = recipe.length.iterations
    updates = np.unique(np.linspace(0, last - 1, min(POINTS, last)).round().astype(int))
    rates = [learning_rate(recipe.schedule, recipe.solver.lr, int(update), last) for update in updates]
    return pd.DataFrame({"variant": variant, "curve": RATE, "iteration": updates, "mean": rates})


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw pairs of panels that share their axes: updates, rates, and accuracies."""
    variants = list(dict.fromkeys(frame["variant"]))
    columns = min(PANELS, len(variants))
    rows = -(-len(variants) // columns)
    panels = style.split(ax, 2 * rows, columns, height_ratios=[1, 1.7] * rows, hspace=0.04)
    base = frame[frame["baseline"]]
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        pair = {RATE: panels[2 * row][column], TOP1: panels[2 * row + 1][column]}
        if number >= len(variants):
            for panel in pair.values():
                panel.remove()
            continue
        own = frame[frame["variant"] == variants[number]]
        for curve, panel in pair.items():
            _curve(panel, own[own["curve"] == curve], base[base["curve"] == curve])
            _axes(panel, frame, curve, left=column == 0, bottom=number + columns >= len(variants))
        style.title(pair[RATE], str(variants[number]))
        _annotate(pair[TOP1], own.iloc[0])


def _curve(panel: Axes, own: pd.DataFrame, base: pd.DataFrame) -> None:
    shade = style.BEHIND if own["baseline"].any() else style.OURS
    panel.plot(base["iteration"], base["mean"], color=style.BEHIND, lw=1.6)
    panel.plot(own["iteration"], own["mean"], color=shade, lw=1.2)
    panel.fill_between(own["iteration"].astype(float), own["low"].astype(float), own["high"].astype(float),
                       color=shade, alpha=0.22, lw=0)  # fmt: skip


def _axes(panel: Axes, frame: pd.DataFrame, curve: str, left: bool, bottom: bool) -> None:
    values = frame[frame["curve"] == curve]
    high = values["mean"].max() if len(values) else 1.0
    panel.set_ylim(*((-0.05 * high, 1.1 * high) if curve == RATE else style.rise([*values["low"], *values["high"]])))
    panel.set_xlim(0, 1.02 * frame["iteration"].max())
    style.small(panel, ticks=(3, 2 if curve == RATE else 4))
    panel.xaxis.set_major_formatter(lambda value, _: short(value).replace(" ", ""))
    panel.tick_params(labelleft=left, labelbottom=bottom and curve == TOP1)
    if left:
        panel.set_ylabel("rate" if curve == RATE else METRICS["top1"].label, fontsize=6.5)
    if bottom and curve == TOP1:
        panel.set_xlabel("updates", fontsize=7, labelpad=1)


def _annotate(panel: Axes, row: Any) -> None:
    gain = "baseline" if row["baseline"] else row["gain"].replace(NOTHING, "")
    style.in_corner(panel, gain, 0.05, style.DARK)
    style.in_corner(panel, row["note"], 0.05, style.TROUBLE, rise=9)


NOTE = (
    "Above: the learning rate; below: top-1, mean over seeds with a band from the smallest to the largest; grey: the "
    f"baseline. In the corner: gain in points ± half-width of the {INTERVAL}. Panels are ordered by gain and share "
    "their axes."
)
FIGURES.add("schedules", "learning rate and accuracy against updates, one pair of panels per policy")(
    Figure(data, draw, stacked(0.4, PAIR_INCHES, "variant", across=PANELS), NOTE, order=7)
)
