"""Training curves by initialisation, for every network of the study of initialisation."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import DIVERGED, Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import over_seeds, unfinished

STUDY = "init"
PANEL_INCHES = 1.45


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per line, initialisation, non-linearity and epoch: `mean`, `low` and `high` top-1 over seeds, in points.

    `diverged` is whether any seed of the variant diverged.
    """
    frames = [_line(line) for line in evidence.of(STUDY)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _line(line: Line) -> pd.DataFrame:
    why, lost = unfinished(line), set(line.trials.loc[line.trials["status"] == DIVERGED, "variant"])
    about = pd.DataFrame(
        {
            "variant": variant,
            "activation": recipe.network.activation,
            "init": recipe.init.method,
            "network": recipe.network.name,
            "diverged": variant in lost,
            "crossed": why.get(variant, ""),
        }
        for variant, recipe in line.recipes.items()
    )
    known = about.merge(over_seeds(line.epochs, "top1", ["variant", "epoch"]), on="variant", how="left")
    return known.assign(line=line.line, protocol=line.protocol, caption=caption(line))


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw panels by line and non-linearity, with a key of the initialisations above."""
    lines, columns = list(dict.fromkeys(frame["line"])), list(dict.fromkeys(frame["activation"]))
    panels = style.split(ax, len(lines), len(columns))
    for row, line in zip(panels, lines, strict=True):
        of_line = frame[frame["line"] == line]
        for panel, activation in zip(row, columns, strict=True):
            own = of_line[of_line["activation"] == activation]
            _panel(panel, own)
            panel.set_xlim(0, 1.03 * of_line["epoch"].max())
            panel.set_ylim(0, 1.05 * of_line["high"].max())
            panel.tick_params(labelleft=panel is row[0], labelbottom=line == lines[-1])
            style.title(panel, f"{of_line['network'].iloc[0]}, {activation}")
            if line == lines[-1]:
                panel.set_xlabel("epoch", fontsize=7, labelpad=1)
        row[0].set_ylabel(METRICS["top1"].label, fontsize=7)
    style.key_above(panels[0][0], [str(name) for name in dict.fromkeys(frame["init"])])


def _panel(panel: Axes, own: pd.DataFrame) -> None:
    for init, rows in own.groupby("init", sort=False):
        shade, known = style.colour(str(init)), rows.dropna(subset="mean")
        epochs = known["epoch"].astype(float)
        panel.plot(epochs, known["mean"], color=shade, lw=1.1)
        panel.fill_between(epochs, known["low"], known["high"], color=shade, alpha=0.18, lw=0)
        if rows["diverged"].any() and len(known):
            panel.plot(epochs.iloc[-1], known["mean"].iloc[-1], "x", ms=5, mew=1.4, color=shade)
    style.small(panel, ticks=(0, 4))
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))


NOTE = "Lines: mean over seeds; bands: smallest to largest; a cross at the end: at least one seed diverged."
OVERVIEWS.add("init_curves", "training curves by initialisation", "Mishkin & Matas 2016")(
    Overview(data, draw, stacked(0.75, PANEL_INCHES, "line"), NOTE, order=4)
)
