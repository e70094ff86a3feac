"""Which networks are sensitive to image size?

Paper: the slides of Mishkin et al., "reference methods: image size sensitive".
Published finding: all gain with size.
Cost: 30 trials per seed of 64 epochs; the cost grows with the square of the side.

Here six networks are trained at five sides each. Every size but the baseline's needs its own images, as in
`image_size`. Layers are unchanged, except that fully connected ones grow with the map.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net, sides
from raysweep.study import Study, Variant

_NETWORKS = ("caffenet", "nin", "squeezenet1_1", "googlenet", "vgg16", "resnet50")
_SIDES = {64: 80, 96: 110, 128: 144, 180: 205, 224: 256}
"""Short side of the stored images for each crop, px."""

STUDY = Study(
    name="image_size_networks",
    question="Which networks are sensitive to image size?",
    paper="Mishkin et al. 2017, input image size",
    finding="All of them.",
    baseline="caffenet_s128",
    variants=tuple(
        Variant(f"{name}_s{side}", net(name) | sides(side, short), f"{name} at {side / 128:.3g} times the side")
        for name in _NETWORKS
        for side, short in _SIDES.items()
    ),
)
