"""The effect of initialisations on every layer, from init-stats: variance of activations and size of gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style

QUANTITIES: Mapping[str, str] = {"variance": "variance of activations", "gradient_to_weight": "gradient / weight"}
KEYS = ["protocol", "network", "norm", "activation", "init", "update", "depth"]
PANEL_INCHES = 1.15


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per network, normalisation, non-linearity, initialisation, update, layer and quantity.

    Median, smallest and largest over seeds; `lost` is the number of seeds with a value that is not finite. Only the
    first update measured and the last one that all seeds of the combination reached. For the last layer, which has no
    non-linearity, the values are those of its own output.
    """
    rows = evidence.init_stats
    if rows.empty:
        return pd.DataFrame()
    norm = rows["norm"].where(rows["norm"] == "none", rows["norm"] + ", " + rows["norm_position"].fillna(""))
    rows = rows.assign(variance=rows["activation_variance"].fillna(rows["output_variance"]), norm=norm)
    rows = _ends(rows)
    long = rows.melt([*KEYS, "seed"], list(QUANTITIES), var_name="quantity", value_name="value")
    found = long.groupby([*KEYS, "quantity"], sort=False)["value"]
    frame = found.agg(median="median", low="min", high="max", n="size", known="count").reset_index()
    names = frame["init"] + ", " + frame["activation"] + ", " + frame["norm"]
    seeds = rows.groupby("protocol")["seed"].nunique()
    counts = {name: f"{'up to ' if n > 1 else ''}{n} seed{'s' if n > 1 else ''}" for name, n in seeds.items()}
    captions = frame["protocol"].map({name: f"First updates of protocol {name}, {n}." for name, n in counts.items()})
    tidy = frame.assign(lost=frame["n"] - frame["known"], variant=names, caption=captions).drop(columns="known")
    return tidy.sort_values([*KEYS, "quantity"], key=_rank, kind="stable", ignore_index=True)


def _rank(values: pd.Series) -> pd.Series:
    """Sort key: ReLU and no normalisation first, initialisations in the order of their colours."""
    if values.name == "init":
        known = list(style.NAMED)
        return values.map(lambda name: known.index(name) if name in known else len(known))
    return values.where(~values.isin(["none", "relu"]), "") if values.name in ("norm", "activation") else values


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    combination = [*KEYS[:5]]
    last = rows.groupby([*combination, "trial"])["update"].max().groupby(combination).min().rename("last")
    joined = rows.merge(last.reset_index(), on=combination)
    return joined[(joined["update"] == 0) | (joined["update"] == joined["last"])]


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw panels by non-linearity: dashed lines before training, full lines at the last update measured."""
    groups, columns = list(frame.groupby(KEYS[:3], sort=False)), list(dict.fromkeys(frame["activation"]))
    panels = style.split(ax, len(groups) * len(QUANTITIES), len(columns))
    for number, (key, own) in enumerate(groups):
        for which, quantity in enumerate(QUANTITIES):
            row = panels[number * len(QUANTITIES) + which]
            of_row = own[own["quantity"] == quantity]
            bottom = row is panels[-1]
            for panel, activation in zip(row, columns, strict=True):
                _panel(panel, of_row[of_row["activation"] == activation], of_row)
                panel.tick_params(labelleft=panel is row[0], labelbottom=bottom)
                if which == 0:
                    about = f"{key[1]}, {_norm(key[2])}: " if panel is row[0] else ""
                    style.title(panel, f"{about}{activation}")
                if bottom:
                    panel.set_xlabel("layer", fontsize=7, labelpad=1)
            row[0].set_ylabel(QUANTITIES[quantity].replace(" of ", "\nof ").replace(" / ", "\n/ "), fontsize=6.5)
    style.key_above(panels[0][0], [str(name) for name in dict.fromkeys(frame["init"])])


def _norm(name: object) -> str:
    return "no BN" if name == "none" else f"BN {str(name).rpartition(', ')[2]}"


def _panel(panel: Axes, own: pd.DataFrame, row: pd.DataFrame) -> None:
    panel.set_yscale("log")
    known = row[["low", "high"]].where(lambda values: (values > 0) & np.isfinite(values))
    if known["low"].notna().any():
        panel.set_ylim(known["low"].min() / 2, known.max().max() * 4)
    panel.set_xlim(0.5, own["depth"].max() + 0.5)
    for (init, update), rows in own.groupby(["init", "update"]):
        shade = style.colour(str(init))
        line = "--" if update == 0 else "-"
        panel.plot(rows["depth"], rows["median"], line, color=shade, lw=0.8 if update == 0 else 1.2)
        panel.fill_between(rows["depth"], rows["low"], rows["high"], color=shade, alpha=0.15, lw=0)
        lost = rows[rows["lost"] > 0]
        panel.plot(lost["depth"], [0.93] * len(lost), "x", ms=4, color=shade, transform=panel.get_xaxis_transform())
    style.small(panel)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.yaxis.set_major_locator(LogLocator(numticks=4))
    panel.yaxis.set_minor_locator(NullLocator())
    style.log_ticks(panel.yaxis, style.power_of_ten)


NOTE = (
    "Dashed: before training; full: at the last update measured. Medians over seeds, bands from the smallest to the "
    "largest; crosses at the top: not finite in at least one seed. Layers are in the order of the forward pass. "
    "Variance: after normalisation and non-linearity, for the last layer of its own output. Gradient / weight: root "
    "mean square of the gradient over that of the weights."
)
OVERVIEWS.add("init_layers", "activations and gradients by layer and initialisation", "Mishkin & Matas 2016")(
    Overview(data, draw, stacked(0.7, PANEL_INCHES, *KEYS[:3], "quantity"), NOTE, order=3)
)
