"""VGG (Simonyan & Zisserman 2015, table 1, columns A, B, D, E): five stages of 3x3 convolutions, a pooling after each.

The first convolution is `stem_kernel` px wide. The pooling after the last stage belongs to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

WIDTHS = (64, 128, 256, 512, 512)
HIDDEN = 4096
DEPTHS: Mapping[str, tuple[int, ...]] = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
OWN = {"stem_kernel": 3, "stem_stride": 1, "pool_kernel": 2}


@dataclass(frozen=True)
class Stage:
    """Convolutions of one width."""

    depth: int
    width: int


def vgg(depths: tuple[int, ...], net: NetworkBuilder) -> None:
    """VGG with stages of these depths.

    Raises:
        InapplicableError: images too small.
    """
    net.input()
    recipe, stages = net.recipe, [Stage(*stage) for stage in zip(depths, map(net.scaled, WIDTHS), strict=True)]
    for number, stage in enumerate(stages, 1):
        for part in range(1, stage.depth + 1):
            first = number == part == 1
            kernel, stride = (recipe.stem_kernel, recipe.stem_stride) if first else (3, 1)
            net.conv(f"conv{number}_{part}", stage.width, kernel, stride, pad=kernel // 2)
        if number < len(stages):
            net.pool(f"pool{number}")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


for _name, _depths in DEPTHS.items():
    network(
        _name,
        f"{sum(_depths)} 3x3 convolutions and three fully connected layers",
        "Simonyan & Zisserman 2015",
        own=OWN,
    )(partial(vgg, _depths))
