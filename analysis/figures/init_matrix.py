"""Top-1 by initialisation and non-linearity, ours and the published table side by side; n/c: not converged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, Figure
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published
from raysweep.analysis.statistics.comparisons import MEAN_INTERVAL, estimate
from raysweep.recipe import Recipe

STUDIES = ("init", "init_cifar")
OURS, PAPER = "ours", "published"
CHANCE = 1.5
"""A trial has not converged if its final accuracy is at most this many times chance."""
NOT_CONVERGED = "n/c"
CELL_INCHES = 0.27
SHADE = (0.0, 0.447, 0.698)
"""Colour of the highest cell: our blue, for both tables."""


def data(line: Line) -> pd.DataFrame:
    """One row per source, network, initialisation and non-linearity: `top1` (points), `lost` seeds, `text` of its cell.

    A seed has not converged if it diverged or ended at chance; the mean is over the other seeds.
    """
    if line.study not in STUDIES:
        return pd.DataFrame()
    return pd.DataFrame(row for variant, recipe in line.recipes.items() for row in _cells(line, variant, recipe))


def _cells(line: Line, variant: str, recipe: Recipe) -> Iterator[dict[str, Any]]:
    activation = recipe.network.activation
    about = {"network": recipe.network.name, "variant": variant, "activation": activation}
    about["init"] = variant.removeprefix(f"{recipe.network.name}_").removesuffix(f"_{activation}")
    yield about | {"source": OURS} | _ours(line, variant, 100 / recipe.network.outputs)
    known = published()
    row = known[(known["study"] == line.study) & (known["variant"] == variant)]
    if len(row):
        top1 = float(METRICS["top1"].of(row).iloc[0])
        lost = "not converged" in str(row["note"].iloc[0])
        text = NOT_CONVERGED if lost else METRICS["top1"].text(top1)
        values = {"top1": top1, "half": math.nan, "n": int(not math.isnan(top1)), "lost": int(lost), "text": text}
        yield about | {"source": PAPER, "crossed": ""} | values


def _ours(line: Line, variant: str, chance: float) -> dict[str, Any]:
    own = line.trials[line.trials["variant"] == variant]
    done = line.finished[line.finished["variant"] == variant]
    tops = METRICS["top1"].of(done)
    learned = tops[tops > CHANCE * chance]
    diverged = int((own["status"] == "diverged").sum())
    lost = diverged + len(tops) - len(learned)
    found = estimate(learned.tolist())
    rest = len(own) - diverged - len(done)
    text = found.text(METRICS["top1"]) if found.n or not lost else NOT_CONVERGED
    text += f"\n{NOT_CONVERGED}: {lost} of {len(own)}" if found.n and lost else ""
    crossed = f"{rest} not finished" if rest else ""
    return found.row("top1") | {"lost": lost, "text": text, "crossed": crossed}


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw blocks of cells that are darker for higher values within the block."""
    sources = [source for source in (OURS, PAPER) if (frame["source"] == source).any()]
    networks = list(dict.fromkeys(frame["network"]))
    heights = [frame.loc[frame["network"] == network, "init"].nunique() for network in networks]
    panels = style.split(ax, len(networks), len(sources), height_ratios=heights)
    for row, network in enumerate(networks):
        inits = list(dict.fromkeys(frame.loc[frame["network"] == network, "init"]))
        for panel, source in zip(panels[row], sources, strict=True):
            own = frame[(frame["network"] == network) & (frame["source"] == source)]
            _block(panel, own, inits)
            style.title(panel, f"{network}, {source}")
            panel.tick_params(labelleft=source == sources[0])


def _block(panel: Axes, frame: pd.DataFrame, inits: list[str]) -> None:
    columns = list(dict.fromkeys(frame["activation"]))
    low, high = float(frame["top1"].min()), float(frame["top1"].max())
    for entry in frame.itertuples():
        top1: Any = entry.top1
        share = 0.0 if math.isnan(top1) else (top1 - low) / ((high - low) or 1.0)
        _cell(panel, columns.index(str(entry.activation)), inits.index(str(entry.init)), entry, share)
    panel.set_xlim(-0.5, len(columns) - 0.5)
    panel.set_ylim(len(inits) - 0.5, -0.5)
    panel.set_xticks(range(len(columns)), columns)
    panel.set_yticks(range(len(inits)), inits)
    panel.tick_params(length=0, labelsize=7)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def _cell(panel: Axes, column: int, row: int, entry: Any, share: float) -> None:
    ground = (*SHADE, 0.08 + 0.52 * share) if entry.n else "white"
    panel.barh(row, 0.96, 0.94, column - 0.48, color=ground)
    colour = style.TROUBLE if entry.lost else style.DARK
    two = "\n" in entry.text
    panel.text(column, row, entry.text, ha="center", va="center", fontsize=5.5 if two else 6.5, color=colour,
               linespacing=1.0)  # fmt: skip


NOTE = (
    f"Top-1, %, mean over the seeds that converged ± half-width of its {MEAN_INTERVAL}; n/c: not converged, that is "
    f"diverged or at most {CHANCE:g} times chance; –: not run or no number. Darker cells are higher within their block."
)
FIGURES.add("init_matrix", "accuracy by initialisation and non-linearity", "Mishkin & Matas 2016")(
    Figure(
        data,
        draw,
        lambda frame: 0.3 + CELL_INCHES * sum(own["init"].nunique() + 1.6 for _, own in frame.groupby("network")),
        NOTE,
        order=5,
    )
)
