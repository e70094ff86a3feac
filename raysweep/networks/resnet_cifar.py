"""Residual networks of 6n + 2 layers for CIFAR (He et al. 2016a, section 4.2); stochastic depth (Huang et al. 2016).

Three stages of n blocks of two 3x3 convolutions. Shortcuts have no parameters: where a stage begins they take every
second pixel and zeros for the further channels. With `network.survival` below 1 training leaves blocks out: block l of
L stays with probability 1 - l / L (1 - survival).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import OWN

if TYPE_CHECKING:
    from raysweep.nn.builder import Builder

WIDTHS = (16, 32, 64)
HIDDEN = 256
DEPTHS = (20, 32, 44, 56, 110, 1202)


def _body(net: Builder, width: int, stride: int) -> None:
    net.conv("conv1", width, 3, stride, 1)
    net.conv("conv2", width, 3, 1, 1, act=False)


def resnet_cifar(blocks: int, net: Builder) -> None:
    """The network with so many blocks a stage.

    Raises:
        InapplicableError: a non-linearity that cannot follow a sum, or images too small.
    """
    recipe = net.recipe
    net.input()
    net.conv("conv1", net.scaled(WIDTHS[0]), recipe.stem_kernel, recipe.stem_stride, recipe.stem_kernel // 2)
    places = [(width, block) for width in WIDTHS for block in range(blocks)]
    for number, (base, block) in enumerate(places, 1):
        width, stride = net.scaled(base), 2 if block == 0 and base > WIDTHS[0] else 1
        changes = stride > 1 or net.shape[0] != width
        shortcut = partial(_shortcut, width=width, stride=stride) if changes else None
        survival = 1 - number / len(places) * (1 - recipe.survival)
        net.residual(f"block{number}", partial(_body, width=width, stride=stride), shortcut, survival)
        net.activate(f"block{number}_act")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _shortcut(net: Builder, width: int, stride: int) -> None:
    net.padded_shortcut("pad", width, stride)


for _depth in DEPTHS:
    network(
        f"resnet{_depth}_cifar",
        f"{_depth} layers for 32 px, shortcuts without parameters",
        "He et al. 2016a",
        side=32,
        classes=10,
        own=OWN | {"stem_kernel": 3, "stem_stride": 1, "pool_pad": 0},
        factors=["survival"],
    )(partial(resnet_cifar, (_depth - 2) // 6))
