"""What several figures compute from lines: curves over seeds, and conditions that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.figures import Evidence
from analysis.load import Line
from analysis.metrics import METRICS
from raysweep.identity import canonical_json
from raysweep.study import find_study


def over_seeds(epochs: pd.DataFrame, metric: str, by: Sequence[str]) -> pd.DataFrame:
    """`mean`, `low` and `high` over seeds of a metric of epochs, in the unit of its label, for each group."""
    values = epochs.assign(value=METRICS[metric].of).groupby(list(by))["value"]
    return values.agg(mean="mean", low="min", high="max").reset_index()


def lines_of(evidence: Evidence, studies: Iterable[str]) -> list[Line]:
    """The lines of these studies that have a result."""
    shown = set(studies)
    return [line for line in evidence.lines if line.study in shown and not line.finished.empty]


def conditions(line: Line) -> str:
    """Protocol, images and settings without what the study's own baseline changes: equal for comparable lines."""
    own = find_study(line.study).variant(line.baseline).patch
    kept = {path: value for path, value in line.settings().items() if path not in own}
    images = line.present("data_digest")
    return canonical_json({"protocol": line.protocol, "settings": kept, "images": images})
