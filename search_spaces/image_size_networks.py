"""Which networks are sensitive to the size of images?

Paper: the deck of Mishkin et al., "reference methods: image size sensitive".
Published finding: all gain with size; the study here has each of six networks at five sides.
Cost: 30 trials a seed of 64 epochs; cost grows with the square of the side.

Every size but the baseline's needs images of its own, as in `image_size`. Layers stay as they are; where a network ends
in fully connected layers they grow with the map.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import net, sides

_NETWORKS = ("caffenet", "nin", "squeezenet1_1", "googlenet", "vgg16", "resnet50")
_SIDES = {64: 80, 96: 110, 128: 144, 180: 205, 224: 256}
"""Short side of the stored images for each crop, px."""

STUDY = Study(
    name="image_size_networks",
    question="Which networks are sensitive to the size of images?",
    paper="Mishkin et al. 2017, input image size",
    finding="All of them.",
    baseline="caffenet_s128",
    variants=tuple(
        Variant(f"{name}_s{side}", net(name) | sides(side, short), f"{name} at {side / 128:.3g} times the side")
        for name in _NETWORKS
        for side, short in _SIDES.items()
    ),
)
