"""Accuracy against the share of training images with a wrong label."""

from __future__ import annotations

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity


def wrong(design: Design) -> float:
    """Labels that are wrong, per cent."""
    return 100 * design.recipe.data.label_noise


QUANTITY = Quantity("wrong training labels, %", wrong, log=False, text="{:g}".format)
AGAINST = Against(("label_noise",), (QUANTITY,))
FIGURES.add("label_noise", "accuracy against the share of wrong labels", "Mishkin et al. 2017")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, NOTE, order=10)
)
