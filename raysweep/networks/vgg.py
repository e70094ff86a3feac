"""VGG (Simonyan & Zisserman 2015, table 1, columns A, B, D, E): five stages of 3x3 convolutions, a pooling after each.

The first convolution has the recipe's kernel and stride. The pooling after the last stage belongs to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def vgg(depths: tuple[int, ...], net: NetworkBuilder) -> None:
    """VGG with this number of convolutions in each stage."""
    net.input()
    for number, (depth, width) in enumerate(zip(depths, map(net.scaled, WIDTHS), strict=True), 1):
        for part in range(1, depth + 1):
            if number == part == 1:
                net.stem("conv1_1", width)
            else:
                net.conv(f"conv{number}_{part}", width, 3, pad=1)
        if number < len(WIDTHS):
            net.pool(f"pool{number}")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


for _name, _depths in DEPTHS.items():
    _summary = f"{sum(_depths)} 3x3 convolutions and three fully connected layers"
    network(_name, _summary, "Simonyan & Zisserman 2015", own=OWN)(partial(vgg, _depths))
