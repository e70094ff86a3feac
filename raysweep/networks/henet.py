"""HeNet: the benchmark's two forms of model J of He & Sun 2015 for images of 128 px.

A pooling moves by one pixel only; the convolution after it strides instead ("delayed subsampling" in the paper). The
last pooling, in front of the hidden layers, is a plain one instead of a pyramid. Every 2x2 convolution has a border of
a pixel, so that the map grows by one, except the second. In the other form, 3x1 and 1x3 convolutions, which keep the
size of the map, replace the 2x2 ones except the two of the last stage; each strides along its own side only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder

TALL, WIDE = (3, 1), (1, 3)
STEM_WIDTH, HIDDEN = 64, 2048


@dataclass(frozen=True)
class Stage:
    """A pooling of stride 1, in front of convolutions of which the first strides."""

    pool: int
    """Window of the pooling, px."""
    stride: int
    widths: tuple[int, ...]
    kernels: tuple[Kernel, ...]
    unpadded: int = 0
    """The convolution without a border, counted from 1; 0: none."""


LAST = (2304, 256)
SQUARE = (
    Stage(3, 3, (128,) * 4, (2,) * 4, unpadded=2),
    Stage(2, 2, (256,) * 4, (2,) * 4),
    Stage(3, 3, LAST, (2, 2)),
)
SPLIT = (
    Stage(3, 3, (128,) * 4, (TALL, WIDE, WIDE, TALL)),
    Stage(2, 2, (256,) * 4, (WIDE, TALL, WIDE, TALL)),
    Stage(3, 2, LAST, (2, 2)),
)


def _stage(net: NetworkBuilder, number: int, stage: Stage) -> None:
    for part, (width, kernel) in enumerate(zip(stage.widths, stage.kernels, strict=True), 1):
        name, strides, pad = f"conv{number}_{part}", (1, 1), None
        if isinstance(kernel, int):
            pad = int(part != stage.unpadded)
            strides = (stage.stride, stage.stride) if part == 1 else strides
        elif part <= 2:
            strides = (stage.stride, 1) if kernel == TALL else (1, stage.stride)
        net.conv(name, net.scaled(width), kernel, strides, pad)


def henet(stages: tuple[Stage, ...], net: NetworkBuilder) -> None:
    """The HeNet of these stages."""
    net.input()
    net.stem("conv1", net.scaled(STEM_WIDTH), 0 if net.recipe.stem_stride > 1 else None)
    for number, stage in enumerate(stages, 2):
        net.pool(f"pool{number - 1}", stride=1, kernel=stage.pool, pad=0)
        _stage(net, number, stage)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


for _name, _stages, _summary in (
    ("henet128_2x2", SQUARE, "model J of He & Sun with delayed subsampling, a plain last pooling and VLReLU"),
    ("henet128_3x1", SPLIT, "henet128_2x2 with 3x1 and 1x3 instead of 2x2, except in the last stage"),
):
    _own = {"stem_kernel": 7, "stem_stride": 2, "activation": "vlrelu"}
    network(_name, _summary, "Mishkin et al. 2017, repository", side=128, own=_own)(partial(henet, _stages))
