"""VGG (Simonyan & Zisserman 2015, table 1, columns A, B, D, E): five stages of 3x3 convolutions, a pooling after each.

The first convolution is `stem_kernel` px wide. The pooling after the last stage belongs to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.errors import RaysweepError
from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Builder

WIDTHS = (64, 128, 256, 512, 512, 4096, 4096)
"""Of the five stages and the two hidden fully connected layers."""
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


def _stages(net: Builder, depths: tuple[int, ...]) -> tuple[Stage, ...]:
    widths = net.recipe.widths or WIDTHS
    if len(widths) != len(WIDTHS):
        raise RaysweepError(f"network.widths has {len(widths)} entries; {net.recipe.name} takes 7, e.g. {WIDTHS}.")
    return tuple(Stage(depth, net.scaled(width)) for depth, width in zip(depths, widths, strict=False))


def vgg(depths: tuple[int, ...], net: Builder) -> None:
    """VGG with stages of these depths.

    Raises:
        RaysweepError: not seven widths, or images too small.
    """
    net.input()
    stages, recipe = _stages(net, depths), net.recipe
    for number, stage in enumerate(stages, 1):
        for part in range(1, stage.depth + 1):
            first = number == part == 1
            kernel, stride = (recipe.stem_kernel, recipe.stem_stride) if first else (3, 1)
            net.conv(f"conv{number}_{part}", stage.width, kernel, stride, pad=kernel // 2)
        if number < len(stages):
            net.pool(f"pool{number}")
    net.head(*map(net.scaled, (recipe.widths or WIDTHS)[-2:]))


for _name, _depths in DEPTHS.items():
    network(
        _name,
        f"{sum(_depths)} 3x3 convolutions and three fully connected layers",
        "Simonyan & Zisserman 2015",
        own=OWN,
        factors=["widths"],
    )(partial(vgg, _depths))
