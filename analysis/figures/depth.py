"""Accuracy against depth: how far it pays, with skips and without."""

from __future__ import annotations

import math
import re

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity
from analysis.figures.complexity import published_networks
from analysis.load import Line
from raysweep.study import find_study

SOURCE = "torchvision"
"""Whose numbers stand for the published networks: one library trained them all."""


def layers(design: Design) -> float:
    """Weighted layers, which the variant's sentence begins with."""
    found = re.match(r"(\d+) layers", design.summary)
    return float(found.group(1)) if found else math.nan


def family(design: Design) -> tuple[str, ...]:
    """The name without the depth."""
    return (design.recipe.network.name.rstrip("0123456789"),)


def published(line: Line) -> dict[str, float]:
    """Variant -> top-1, points, of the network of that name."""
    rows = published_networks()
    known = rows[rows["source"] == SOURCE].set_index("network")["top1"]
    names = {str(name).lower().replace("-", ""): float(top1) for name, top1 in known.items()}
    return {variant.name: names.get(variant.name, math.nan) for variant in find_study(line.study).variants}


QUANTITY = Quantity("weighted layers", layers, text="{:g}".format)
AGAINST = Against(("depth",), (QUANTITY,), family, published)
FIGURES.add("depth", "accuracy against depth", "He et al. 2016a")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, f"{NOTE} Published: {SOURCE}'s, at 224 px.", order=10)
)
