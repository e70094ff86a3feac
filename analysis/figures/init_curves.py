"""Training curves by initialisation, for every network that the study of initialisation was run on."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.captions import caption
from analysis.figures import OVERVIEWS, Evidence, Overview
from analysis.figures import _look as look
from analysis.figures._lines import lines_of
from analysis.load import Line
from analysis.metrics import METRICS
from analysis.statistics.comparisons import unfinished
from raysweep.identity import recipe_from_json

STUDY = "init"
COLUMNS = ("line", "network", "protocol", "activation", "init", "variant", "epoch", "mean", "low", "high", "diverged",
           "crossed", "caption")  # fmt: skip
PANEL_INCHES = 1.45


def data(evidence: Evidence) -> pd.DataFrame:
    """One row a line, initialisation, non-linearity and epoch: top-1 in points, mean, smallest and largest over seeds.

    `diverged`: whether a seed of the variant ended so.
    """
    frames = [_line(line) for line in lines_of(evidence, [STUDY])]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _line(line: Line) -> pd.DataFrame:
    grouped = line.epochs.assign(value=METRICS["top1"].of).groupby(["variant", "epoch"])["value"]
    frame = grouped.agg(mean="mean", low="min", high="max").reset_index()
    variants = line.trials.sort_values("order").drop_duplicates("variant")
    recipes = variants.set_index("variant")["recipe"].map(recipe_from_json)
    why, lost = unfinished(line), set(line.trials.loc[line.trials["status"] == "diverged", "variant"])
    about = pd.DataFrame(
        {
            "variant": recipes.index,
            "activation": [recipe.network.activation for recipe in recipes],
            "init": [recipe.init.method for recipe in recipes],
            "network": [recipe.network.name for recipe in recipes],
            "diverged": [variant in lost for variant in recipes.index],
            "crossed": [why.get(variant, "") for variant in recipes.index],
        }
    )
    known = about.merge(frame, on="variant", how="left")
    return known.assign(line=line.line, protocol=line.protocol, caption=caption(line))


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """One row of panels a line."""
    return 7.4, 0.75 + PANEL_INCHES * frame["line"].nunique()


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Panels by line and non-linearity; the colours of initialisations in a line above all."""
    lines, columns = list(dict.fromkeys(frame["line"])), list(dict.fromkeys(frame["activation"]))
    panels = look.split(ax, len(lines), len(columns))
    for row, line in zip(panels, lines, strict=True):
        of_line = frame[frame["line"] == line]
        for panel, activation in zip(row, columns, strict=True):
            own = of_line[of_line["activation"] == activation]
            _panel(panel, own)
            panel.set_xlim(0, 1.03 * of_line["epoch"].max())
            panel.set_ylim(0, 1.05 * of_line["high"].max())
            panel.tick_params(labelleft=panel is row[0], labelbottom=line == lines[-1])
            look.title(panel, f"{of_line['network'].iloc[0]}, {activation}")
            if line == lines[-1]:
                panel.set_xlabel("epoch", fontsize=7, labelpad=1)
        row[0].set_ylabel(METRICS["top1"].label, fontsize=7)
    look.key_above(panels[0][0], [str(name) for name in dict.fromkeys(frame["init"])])


def _panel(panel: Axes, own: pd.DataFrame) -> None:
    for init, rows in own.groupby("init", sort=False):
        shade, known = look.colour(str(init)), rows.dropna(subset="mean")
        epochs = known["epoch"].astype(float)
        panel.plot(epochs, known["mean"], color=shade, lw=1.1)
        panel.fill_between(epochs, known["low"], known["high"], color=shade, alpha=0.18, lw=0)
        if rows["diverged"].any() and len(known):
            panel.plot(epochs.iloc[-1], known["mean"].iloc[-1], "x", ms=5, mew=1.4, color=shade)
    look.small(panel)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(4))


NOTE = "Lines: mean over seeds; bands: smallest to largest; a cross at the end: a seed or more diverged."
OVERVIEWS.add("init_curves", "training curves by initialisation", "Mishkin & Matas 2016")(
    Overview(data, draw, size, NOTE, order=4)
)
