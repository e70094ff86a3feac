"""Networks ranked on the data set they were trained on and on a second one, after transfer and from scratch."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures._style import colour
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.identity import recipe_from_json

FIRST = "first"
PLACES = {FIRST: "first data set", "frozen": "frozen", "fine_tuned": "fine-tuned", "none": "from scratch"}
"""Place of a ranking -> its heading; all but the first are on the second data set."""
LEAST_NETWORKS = 2
ROW_INCHES = 0.32


def data(line: Line) -> pd.DataFrame:
    """One row per network and place: `network`, `place`, `top1` (points, mean over seeds), `rank`, `spearman`.

    `spearman` is the rank correlation of the place with the first data set over the networks in both. Empty if no trial
    started from a trained trunk, or if fewer than two networks are in all places.
    """
    known = line.finished.assign(value=METRICS["top1"].of, start=100 * line.finished["trunk_top1"].astype(float))
    recipes = [recipe_from_json(text) for text in known["recipe"]]
    known = known.assign(network=[r.network.name for r in recipes], place=[r.init.trunk for r in recipes])
    means = known.pivot_table(index="network", columns="place", values="value", aggfunc="mean")
    means[FIRST] = known.groupby("network")["start"].mean()
    means = means.reindex(columns=[place for place in PLACES if place in means.columns])
    if FIRST not in means or means[FIRST].isna().all() or len(means := means.dropna()) < LEAST_NETWORKS:
        return pd.DataFrame(columns=["network", "place", "top1", "rank", "spearman"])
    ranks = means.rank(ascending=False, method="first")
    correlation = means.corr(method="spearman")[FIRST]
    tidy = means.reset_index().melt("network", var_name="place", value_name="top1")
    keys = zip(tidy["network"], tidy["place"], strict=True)
    return tidy.assign(rank=[ranks.loc[key] for key in keys], spearman=tidy["place"].map(correlation))


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one column per place, the best network on top; lines follow the networks."""
    places = list(dict.fromkeys(frame["place"]))
    networks = frame["network"].nunique()
    for number, (name, rows) in enumerate(frame.groupby("network")):
        ordered = rows.set_index("place").loc[places]
        ax.plot(range(len(places)), ordered["rank"], "-o", ms=5, color=colour(str(name), number), zorder=3)
        for column, entry in enumerate(ordered.itertuples()):
            _name(ax, column, entry, first=column == 0, name=str(name))
    correlations = frame.drop_duplicates("place").set_index("place")["spearman"]
    ax.set_xticks(range(len(places)), [_heading(place, correlations[place]) for place in places])
    ax.xaxis.tick_top()
    ax.tick_params(axis="both", length=0)
    ax.set_xlim(-0.75, len(places) - 0.6)
    ax.set_ylim(networks + 0.5, 0.4)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)


def _heading(place: str, spearman: float) -> str:
    return PLACES[place] if place == FIRST else f"{PLACES[place]}\nSpearman {METRICS['correlation'].text(spearman)}"


def _name(ax: Axes, column: int, entry: Any, first: bool, name: str) -> None:
    text = f"{name}  {entry.top1:.1f}" if first else f"{entry.top1:.1f}"
    shift, side = ((-8, 0), "right") if first else ((0, 9), "center")
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}  # lines pass behind the text
    ax.annotate(text, (column, entry.rank), shift, textcoords="offset points", ha=side, va="center", fontsize=7.5,
                zorder=4, bbox=ground)  # fmt: skip


NOTE = (
    "Top-1, means over seeds, of the networks in all columns; Spearman: rank correlation with the first data set. "
    "Frozen, fine-tuned and from scratch: on the second data set."
)
FIGURES.add("transfer", "networks ranked on both data sets")(
    Figure(data, draw, stacked(0.9, ROW_INCHES, "network"), NOTE, order=6)
)
