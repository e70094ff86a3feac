"""What the figures of architecture searches share: comparable evaluations, names of panels, numbers of methods."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from raysweep.analysis.captions import search_caption
from raysweep.analysis.figures import Evidence
from raysweep.analysis.load import FINISHED
from raysweep.nas.budget import HOUR_S

LINE = ["study", "line"]
SHARED = math.inf
"""The fidelity of a score with shared weights on all held-out images, which is never a number of epochs."""
UNKNOWN = 0.0
"""Epochs of an evaluation whose method does not choose them, if the settings of its line are unknown."""


def evaluated(evidence: Evidence) -> pd.DataFrame:
    """Every evaluation with `panel`, `evaluations` (1 for the first to end), `hours`, `top1` (points) and `caption`.

    `panel` is the study and the length of training, with the line if a study has several. A panel has the searches of
    one line whose longest trainings are equally long, because values of different lengths are not comparable. Only
    evaluations that finished at that length have a `top1`, as in `raysweep.nas.history`.
    """
    rows = evidence.searches
    lines = {(line.study, line.line): line for line in evidence.lines}
    keys = list(zip(rows["study"], rows["line"], strict=True))
    whole = {key: lines[key].baseline_recipe.training.epochs if key in lines else UNKNOWN for key in set(keys)}
    captions = {key: search_caption(key[0], lines.get(key)) for key in whole}
    usual = pd.Series([whole[key] for key in keys], index=rows.index, dtype=float)
    epochs = rows["fidelity"].astype(float).fillna(usual)
    longest = epochs.groupby([rows[name] for name in (*LINE, "method")]).transform("max")
    counts = (rows["status"] == FINISHED) & (epochs == longest)
    shown = {UNKNOWN: "", SHARED: ", shared weights"}
    lengths = longest.map(lambda epochs: shown.get(epochs, f", {epochs:g} epochs")).astype(str)
    several = rows.groupby("study")["line"].transform("nunique") > 1
    panels = rows["study"] + lengths + (", line " + rows["line"]).where(several, "")
    top1, hours = 100 * rows["value"].astype(float).where(counts), rows["clock_s"] / HOUR_S
    found = rows.assign(panel=panels, epochs=longest, evaluations=rows["place"] + 1, hours=hours, top1=top1)
    found["caption"] = [captions[key] for key in keys]
    order = [*LINE, "epochs", "method", "seed", "place"]
    return found.sort_values(order, kind="stable", ignore_index=True)


def numbers(methods: pd.Series) -> Mapping[str, int]:
    """Method -> its number, which determines its colour."""
    return {name: number for number, name in enumerate(sorted(set(methods)))}
