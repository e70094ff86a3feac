"""Accuracy against the side of the images, for one network or several."""

from __future__ import annotations

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NOTE, Against, Design, Quantity, forms


def lines(design: Design) -> tuple[str, ...]:
    """The networks, where variants are named after them."""
    network = design.recipe.network.name
    return (network,) if design.name.startswith(f"{network}_s") else forms(design)


QUANTITY = Quantity("side of the images, px", lambda design: float(design.recipe.data.side), text="{:g}".format)
AGAINST = Against(("image_size", "image_size_networks", "first_layer"), (QUANTITY,), lines)
FIGURES.add("image_size", "accuracy against the side of the images", "Mishkin et al. 2017")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, NOTE, order=10)
)
