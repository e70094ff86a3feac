"""DenseNet (Huang et al. 2017): every layer sees the maps of all earlier layers of its block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import OWN, OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

BOTTLENECK = 4
"""Channels of a layer's 1x1 convolution, relative to the growth."""
HIDDEN = 2048


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks of the family differ."""

    depths: tuple[int, ...]
    """Number of layers of each block."""
    growth: int
    """Channels that each layer adds."""
    stem: int
    """Channels of the first convolution."""
    bottlenecks: bool
    compression: float
    """Share of the channels that a transition keeps."""
    stem_activated: bool = True
    """Whether normalisation and non-linearity follow the first convolution."""


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
    """The DenseNet of this form."""
    net.input()
    net.stem("conv0", net.scaled(form.stem), act=form.stem_activated, norm=form.stem_activated)
    if net.recipe.stem_stride > 1:
        net.pool("pool0", round_up=False)
    for block, depth in enumerate(form.depths, 1):
        for layer in range(1, depth + 1):
            net.branches(f"block{block}_{layer}", lambda part: None, partial(_layer, form=form))
        if block < len(form.depths):
            _transition(net, f"transition{block}", max(2, int(net.shape[0] * form.compression)))
    net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


LARGE = Form((6, 12, 24, 16), growth=32, stem=64, bottlenecks=True, compression=0.5)
SMALL = Form((12, 12, 12), growth=12, stem=16, bottlenecks=False, compression=1.0, stem_activated=False)
PAPER = "Huang et al. 2017"
CIFAR: dict[str, Any] = {"side": 32, "classes": 10, "own": OWN_CIFAR}
network("densenet121", "121 layers, growth 32, bottlenecks", PAPER, own=OWN)(partial(densenet, LARGE))
network("densenet40", "40 layers, growth 12, for CIFAR", PAPER, **CIFAR)(partial(densenet, SMALL))
