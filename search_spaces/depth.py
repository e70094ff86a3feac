"""How deep, and do skips make depth pay?

Paper: the slides of Mishkin et al., "revolution of depth", after He et al. 2016a (arXiv 1512.03385).
Published finding: depth pays up to 19 layers without skips and beyond 100 with them; 34 plain layers are worse than 18.
Cost: 11 trials per seed of 64 epochs.

Networks are those of their papers, for the side of your images, with the protocol's solver and initialisation.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net
from raysweep.study import Study, Variant

_NETWORKS = {
    "alexnet": "8 layers",
    "vgg11": "11 layers",
    "vgg13": "13 layers",
    "vgg16": "16 layers",
    "vgg19": "19 layers",
    "plain34": "34 layers without skips",
    "resnet18": "18 layers with skips",
    "resnet34": "34 layers with skips",
    "resnet50": "50 layers, bottlenecks",
    "resnet101": "101 layers, bottlenecks",
    "resnet152": "152 layers, bottlenecks",
}

STUDY = Study(
    name="depth",
    question="How deep, and do skips make depth pay?",
    paper="He et al. 2016a",
    finding="Beyond twenty layers, depth pays only with skips.",
    baseline="alexnet",
    variants=tuple(Variant(name, net(name), words) for name, words in _NETWORKS.items()),
)
