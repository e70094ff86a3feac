"""What the figures of architecture searches share: comparable evaluations, names of panels, numbers of methods."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from analysis.captions import search_caption
from analysis.figures import Evidence
from analysis.load import FINISHED
from raysweep.nas.budget import HOUR_S

LINE = ["study", "line"]
SHARED = math.inf
"""The fidelity of a score with shared weights on all held-out images, which is never a number of epochs."""
UNKNOWN = 0.0
"""Epochs of an evaluation whose method does not choose them, if the settings of its line are unknown."""


def evaluated(evidence: Evidence) -> pd.DataFrame:
    """Every evaluation with `panel`, `evaluations` (1 for the first to end), `hours`, `top1` (points) and `caption`.

    A panel has the searches of one line whose longest trainings are equally long, because values of different lengths
    are not comparable. Only evaluations that finished at that length have a `top1`, as in `raysweep.nas.history`;
    shorter trainings count as evaluations.
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
    found = rows.assign(epochs=longest, top1=100 * rows["value"].astype(float).where(counts))
    found = found.assign(
        evaluations=rows["place"] + 1, hours=rows["clock_s"] / HOUR_S, caption=[captions[key] for key in keys]
    )
    ordered = found.sort_values([*LINE, "epochs", "method", "seed", "place"], kind="stable", ignore_index=True)
    return ordered.assign(panel=panel_names(ordered))


def panel_names(rows: pd.DataFrame) -> list[str]:
    """Study and length of training, with the line if a study has several."""
    several = rows.groupby("study")["line"].transform("nunique") > 1
    lengths = [
        {UNKNOWN: "", SHARED: ", shared weights"}.get(epochs, f", {epochs:g} epochs") for epochs in rows["epochs"]
    ]
    lines = [f", line {line}" if many else "" for line, many in zip(rows["line"], several, strict=True)]
    return ["".join(parts) for parts in zip(rows["study"], lengths, lines, strict=True)]


def numbers(methods: pd.Series) -> Mapping[str, int]:
    """Method -> its number, which determines its colour."""
    return {name: number for number, name in enumerate(sorted(set(methods)))}
