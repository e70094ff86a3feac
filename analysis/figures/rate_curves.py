"""Learning-rate policies: the rate against the updates, and under it the accuracy, one pair of panels a variant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.figures import FIGURES, Figure
from analysis.figures import _look as look
from analysis.figures.curves import ranking
from analysis.load import Line
from analysis.metrics import METRICS, NOTHING
from analysis.statistics.comparisons import INTERVAL, gains, unfinished
from raysweep.identity import recipe_from_json
from raysweep.optim.schedules import learning_rate
from raysweep.recipe import Recipe
from raysweep.units import short

STUDIES = ("lr_policy", "lr_policy_bn")
RATE, TOP1 = "rate", "top1"
COLUMNS = ("variant", "curve", "iteration", "mean", "low", "high", "baseline", "gain", "note")
PANELS = 5
"""Side by side."""
POINTS = 200
"""Of a schedule that are drawn."""
PAIR_INCHES = 1.75


def data(line: Line) -> pd.DataFrame:
    """One row a point of a curve: `variant`, `curve` (rate, top1), `iteration`, `mean`, `low`, `high`, `gain`, `note`.

    Rates are computed from the recipes; top-1 (points) is over seeds. The baseline first, then the best by our gain.
    """
    if line.study not in STUDIES:
        return pd.DataFrame(columns=list(COLUMNS))
    recipes = line.trials.drop_duplicates("variant").set_index("variant")["recipe"].map(recipe_from_json)
    order = [variant for variant in ranking(line) if variant in recipes.index]
    found, notes = gains(line), unfinished(line)
    curves = pd.concat([*(_rates(variant, recipes[variant]) for variant in order), _accuracies(line)])
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


def _accuracies(line: Line) -> pd.DataFrame:
    grouped = line.epochs.assign(value=METRICS["top1"].of).groupby(["variant", "iteration"])["value"]
    return grouped.agg(mean="mean", low="min", high="max").reset_index().assign(curve=TOP1)


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Pairs of panels of one size."""
    return 7.4, 0.4 + PAIR_INCHES * -(-frame["variant"].nunique() // PANELS)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """All share the updates; rates share their axis, and accuracies theirs."""
    variants = list(dict.fromkeys(frame["variant"]))
    columns = min(PANELS, len(variants))
    rows = -(-len(variants) // columns)
    panels = look.split(ax, 2 * rows, columns, height_ratios=[1, 1.7] * rows, hspace=0.04)
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
        look.title(pair[RATE], str(variants[number]))
        _say(pair[TOP1], own.iloc[0])


def _curve(panel: Axes, own: pd.DataFrame, base: pd.DataFrame) -> None:
    shade = look.BEHIND if own["baseline"].any() else look.OURS
    panel.plot(base["iteration"], base["mean"], color=look.BEHIND, lw=1.6)
    panel.plot(own["iteration"], own["mean"], color=shade, lw=1.2)
    panel.fill_between(own["iteration"].astype(float), own["low"].astype(float), own["high"].astype(float),
                       color=shade, alpha=0.22, lw=0)  # fmt: skip


def _axes(panel: Axes, frame: pd.DataFrame, curve: str, left: bool, bottom: bool) -> None:
    values = frame[frame["curve"] == curve]
    high = values["mean"].max() if len(values) else 1.0
    panel.set_ylim(*((-0.05 * high, 1.1 * high) if curve == RATE else look.rise([*values["low"], *values["high"]])))
    panel.set_xlim(0, 1.02 * frame["iteration"].max())
    look.small(panel)
    panel.xaxis.set_major_locator(MaxNLocator(3))
    panel.xaxis.set_major_formatter(lambda value, _: short(value).replace(" ", ""))
    panel.yaxis.set_major_locator(MaxNLocator(2 if curve == RATE else 4))
    panel.tick_params(labelleft=left, labelbottom=bottom and curve == TOP1)
    if left:
        panel.set_ylabel("rate" if curve == RATE else METRICS["top1"].label, fontsize=6.5)
    if bottom and curve == TOP1:
        panel.set_xlabel("updates", fontsize=7, labelpad=1)


def _say(panel: Axes, row: Any) -> None:
    corner: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
    said = "baseline" if row["baseline"] else row["gain"].replace(NOTHING, "")
    panel.annotate(said, (1, 0.05), (-2, 0), **corner, fontsize=6.5, color=look.DARK)
    panel.annotate(row["note"], (1, 0.05), (-2, 9), **corner, fontsize=6.5, color=look.TROUBLE)


NOTE = (
    "Above: the learning rate; below: top-1, mean over seeds and band from smallest to largest; grey: the baseline. "
    f"In the corner the gain in points ± half of its {INTERVAL}. Panels in the order of gains; all share their axes."
)
FIGURES.add("schedules", "learning rate and accuracy against updates, one pair of panels a policy")(
    Figure(data, draw, size, NOTE, order=7)
)
