"""Accuracy against the number of training images."""

from __future__ import annotations

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity


def images(design: Design) -> float:
    """Training images used."""
    return float(design.recipe.length.images)


def scaling(design: Design) -> tuple[str, ...]:
    """Whether the input has about unit variance, in the study that asks for that."""
    if design.name.endswith("_noscale"):
        return ("not scaled",)
    return ("scaled",) if design.name.endswith("_scaled") else ("",)


AGAINST = Against(("dataset_size", "dataset_size_noscale"), (Quantity("training images", images),), scaling)
FIGURES.add("dataset_size", "accuracy against the number of training images", "Mishkin et al. 2017")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, NOTE, order=10)
)
