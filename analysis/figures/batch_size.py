"""Accuracy against the batch, with the learning rate constant and in proportion to it."""

from __future__ import annotations

import math

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity
from raysweep.study import find_study

CONSTANT, SCALED, OTHER = "rate constant", "rate scaled with the batch", "other rates"
STUDIES = ("batch_size", "batch_size_tanh")


def policies(design: Design) -> tuple[str, ...]:
    """How the rate follows the batch, by the variant's patch; the baseline is a point of both lines."""
    patch = next(find_study(study).variant(design.name).patch for study in STUDIES if _holds(study, design.name))
    batch, rate = (getattr(patch.get(path), "factor", 1.0) for path in ("training.batch_size", "solver.lr"))
    if batch == rate == 1:
        return CONSTANT, SCALED
    return (SCALED,) if math.isclose(batch, rate) else (CONSTANT,) if rate == 1 else (OTHER,)


def _holds(study: str, variant: str) -> bool:
    return any(known.name == variant for known in find_study(study).variants)


QUANTITY = Quantity("images of a batch", lambda design: float(design.recipe.training.batch_size), text="{:g}".format)
AGAINST = Against(STUDIES, (QUANTITY,), policies)
FIGURES.add("batch_size", "accuracy against the batch, by how the learning rate follows it", "Mishkin et al. 2017")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, NOTE, order=10)
)
