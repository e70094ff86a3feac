"""DenseNet (Huang et al. 2017): every layer sees the maps of all layers of its block before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import OWN, OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

BOTTLENECK = 4
"""Channels of the 1x1 convolution over the growth."""
HIDDEN = 2048


@dataclass(frozen=True)
class Form:
    """What tells one network of the family from another."""

    depths: tuple[int, ...]
    """Layers of each block."""
    growth: int
    stem: int
    """Channels of the first convolution."""
    bottlenecks: bool
    compression: float
    """Share of the channels that a transition keeps."""
    stem_activated: bool = True
    """Normalisation and non-linearity between the first convolution and the first block."""


def _layer(net: NetworkBuilder, form: Form) -> None:
    growth = net.scaled(form.growth)
    net.preactivate("pre1")
    if form.bottlenecks:
        net.conv("conv1", BOTTLENECK * growth, 1, act=False, norm=False)
        net.preactivate("pre2")
    net.conv("conv2", growth, 3, pad=1, act=False, norm=False)


def _transition(net: NetworkBuilder, name: str, channels: int) -> None:
    net.preactivate(f"{name}_pre")
    net.conv(name, channels, 1, act=False, norm=False)
    net.pool(f"{name}_pool", kernel=2, pad=0, kind="average", round_up=False)


def densenet(form: Form, net: NetworkBuilder) -> None:
    """A DenseNet of that form.

    Raises:
        InapplicableError: a non-linearity that takes several layers, or images too small.
    """
    recipe, kernel = net.recipe, net.recipe.stem_kernel
    activated = form.stem_activated
    net.input()
    net.conv("conv0", net.scaled(form.stem), kernel, recipe.stem_stride, kernel // 2, act=activated, norm=activated)
    if recipe.stem_stride > 1:
        net.pool("pool0", round_up=False)
    for block, depth in enumerate(form.depths, 1):
        for layer in range(1, depth + 1):
            net.branches(f"block{block}_{layer}", lambda part: None, partial(_layer, form=form))
        if block < len(form.depths):
            _transition(net, f"transition{block}", max(2, int(net.shape[0] * form.compression)))
    net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


network("densenet121", "121 layers, growth 32, bottlenecks", "Huang et al. 2017", own=OWN)(
    partial(densenet, Form((6, 12, 24, 16), growth=32, stem=64, bottlenecks=True, compression=0.5))
)
network(
    "densenet40",
    "40 layers, growth 12, for CIFAR",
    "Huang et al. 2017",
    side=32,
    classes=10,
    own=OWN_CIFAR,
)(
    partial(
        densenet,
        Form((12, 12, 12), growth=12, stem=16, bottlenecks=False, compression=1.0, stem_activated=False),
    )
)
