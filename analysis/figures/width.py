"""Accuracy against the width of the network, its arithmetic and its speed: where width saturates and what it costs."""

from __future__ import annotations

from analysis.figures import FIGURES, Figure
from analysis.figures._against import NO_GROUPS, NOTE, Against, Design, Quantity, forms
from raysweep.study import CLEAN

NOGROUP = "_nogroup"
"""Ends the name of a variant without groups."""


def multiplier(design: Design) -> float:
    """The multiple of the baseline's width that a variant is named after: x0_707 is 0.707."""
    return float(design.name.removesuffix(CLEAN).removesuffix(NOGROUP).removeprefix("x").replace("_", "."))


def lines(design: Design) -> tuple[str, ...]:
    """Multiples as they are described, and loose points of the other forms."""
    return (NO_GROUPS,) if design.name.endswith(NOGROUP) else forms(design)


AGAINST = Against(
    ("width",),
    (
        Quantity("width, multiple of the baseline's", multiplier, text="{:.3g}".format),
        Quantity("multiply-accumulates of one image", lambda design: design.macs),
        Quantity("training images/s", lambda design: design.images_per_s),
    ),
    lines,
)
FIGURES.add("width", "accuracy against width, arithmetic and speed", "Mishkin et al. 2017")(
    Figure(AGAINST.data, AGAINST.draw, AGAINST.size, NOTE, order=10)
)
