"""Our training curves together with the published ones, for the variants with a published log."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import over_seeds, unfinished
from raysweep.recipe import Recipe
from raysweep.study import find_study, study_names

FILE = Path(__file__).parents[1] / "curves.csv.gz"
OURS, PAPER = "ours", "published"
COLUMNS = 4
PANEL_INCHES = 1.35
LEAST_POINTS = 3
"""Fewest points of a published curve: some runs stopped after the first test."""


@cache
def published_curves() -> pd.DataFrame:
    """Every published test: its `log` in ducha-aiki/caffenet-benchmark, `study`, `variant`, `iteration`, `top1` (0..1).

    Runs that ended early are included up to their end; `log@commit` is a file of an older commit.
    """
    return pd.read_csv(FILE)


def data(line: Line) -> pd.DataFrame:
    """One row per point: `source`, `variant`, `share` of the training, `mean`, `low`, `high` (points of top-1), `note`.

    Only variants with both curves; the share is that of the planned length, ours or the paper's.
    """
    if line.study not in study_names() or line.epochs.empty:
        return pd.DataFrame()
    paper, ours = _published(line.study), _ours(line)
    both = [name for name in line.variants if name in set(paper["variant"]) & set(ours["variant"])]
    frame, notes = pd.concat([paper, ours], ignore_index=True), unfinished(line)
    known = frame[frame["variant"].isin(both)]
    variants = known["variant"]
    ordered = known.assign(note=variants.map(lambda name: notes.get(name, "")), rank=variants.map(both.index))
    return ordered.sort_values(["rank", "source", "share"], ignore_index=True)


def _published(study: str) -> pd.DataFrame:
    rows = published_curves()
    own = rows[(rows["study"] == study) & rows["top1"].notna()]
    known = {variant.name: variant.apply(Recipe()).length.iterations for variant in find_study(study).variants}
    long = own.groupby("variant")["iteration"].transform("size") >= LEAST_POINTS
    own = own[own["variant"].isin(list(known)) & long]
    share, top1 = own["iteration"] / own["variant"].map(known).astype(float), METRICS["top1"].of(own)
    return pd.DataFrame({"variant": own["variant"], "share": share, "mean": top1, "source": PAPER})


def _ours(line: Line) -> pd.DataFrame:
    planned = line.trials.drop_duplicates("trial").set_index("trial")["planned_epochs"]
    epochs = line.epochs.assign(share=line.epochs["epoch"] / line.epochs["trial"].map(planned))
    return over_seeds(epochs, "top1", ["variant", "share"]).assign(source=OURS)


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one panel per variant; all share their axes."""
    variants = list(dict.fromkeys(frame["variant"]))
    panels = style.fill(ax, len(variants), COLUMNS, share=True)
    for panel, variant in zip(panels, variants, strict=True):
        _panel(panel, frame[frame["variant"] == variant])
    style.label_edges(panels, COLUMNS, "share of the training, %", METRICS["top1"].label)
    panels[0].set_xlim(0, 100 * max(1.0, frame["share"].max()))
    panels[0].set_ylim(0, 1.08 * max(1.0, frame["high"].max(), frame["mean"].max()))


def _panel(panel: Axes, rows: pd.DataFrame) -> None:
    for source, shade in {PAPER: style.PUBLISHED, OURS: style.OURS}.items():
        own = rows[rows["source"] == source]
        share = 100 * own["share"].astype(float)
        panel.plot(share, own["mean"], color=shade, lw=1.1 if source == OURS else 0.8, zorder=3)
        panel.fill_between(share, own["low"].astype(float), own["high"].astype(float), color=shade, alpha=0.22, lw=0)
    style.title(panel, str(rows["variant"].iloc[0]))
    style.small(panel, ticks=(0, 4))
    style.in_corner(panel, str(rows["note"].iloc[0]), 0.04, style.TROUBLE)


NOTE = (
    "Blue: ours, mean over seeds with a band from the smallest to the largest seed; vermilion: the published log, on "
    "ImageNet, up to its end. Both against the share of the planned training."
)
FIGURES.add("training_curves", "our training curves with the published ones", "Mishkin et al. 2017")(
    Figure(data, draw, stacked(0.5, PANEL_INCHES, "variant", across=COLUMNS), NOTE, order=8)
)
