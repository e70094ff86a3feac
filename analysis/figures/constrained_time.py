"""Models A to J at about the same cost: accuracy against depth and against that cost (He & Sun 2015, table 1)."""

from __future__ import annotations

import csv
from functools import cache

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity
from raysweep.networks.he_sun import TABLE


@cache
def _table() -> dict[str, dict[str, str]]:
    with TABLE.open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def letter(design: Design) -> str:
    """A to J."""
    return design.name.removeprefix("model_").upper()


def layers(design: Design) -> float:
    """Convolutions, as the table counts them."""
    return float(_table()[letter(design)]["depth"])


def cost(design: Design) -> float:
    """Multiply-accumulates of ours; of the published what the table prints, relative to A."""
    return design.macs if design.ours else float(_table()[letter(design)]["comp"])


AGAINST = Against(
    ("constrained_time",),
    (
        Quantity("layers that the table counts", layers, log=False, text="{:g}".format),
        Quantity("multiply-accumulates relative to A", cost, log=False, text="{:.2f}".format, relative=True),
    ),
    mark=letter,
    loose=True,
)
FIGURES.add("constrained_time", "accuracy of models A to J at about the same cost", "He & Sun 2015")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, f"{NOTE} Published at 224 px.", order=10)
)
