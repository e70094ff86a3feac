"""Inception v3 (Szegedy et al. 2016): factorised convolutions, batch normalisation, one auxiliary head; 299 px.

The widths are those of torchvision's network. If the first convolution does not stride (small images), the stem keeps
the size of the map: its convolutions have borders and its poolings are omitted. Reductions of a map smaller than their
window have a border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel, Part
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 2048
ROW, COLUMN = (1, 7), (7, 1)
WIDE, TALL = (1, 3), (3, 1)


@dataclass(frozen=True)
class Layer:
    """A convolution that keeps the size of the map."""

    width: int
    kernel: Kernel = 1


def _convs(*chain: Layer) -> Part[NetworkBuilder]:
    def describe(net: NetworkBuilder) -> None:
        for number, layer in enumerate(chain, 1):
            net.conv(f"conv{number}", net.scaled(layer.width), layer.kernel, pad=None)

    return describe


def _averaged(width: int) -> Part[NetworkBuilder]:
    def describe(net: NetworkBuilder) -> None:
        net.pool("pool", stride=1, kernel=3, pad=1, kind="average")
        net.conv("conv", net.scaled(width), 1)

    return describe


def _window_pad(net: NetworkBuilder) -> int:
    return 0 if net.shape[1] >= 3 else 1


def _reducing(*before: Layer, to: int) -> Part[NetworkBuilder]:
    """Convolutions, then a 3x3 convolution of stride 2."""

    def describe(net: NetworkBuilder) -> None:
        _convs(*before)(net)
        net.conv("reduce", net.scaled(to), 3, 2, _window_pad(net))

    return describe


def _reducing_pool(net: NetworkBuilder) -> None:
    net.pool("pool", kernel=3, pad=_window_pad(net), round_up=False)


def _split(*before: Layer) -> Part[NetworkBuilder]:
    """Convolutions, then 1x3 and 3x1 in parallel."""

    def describe(net: NetworkBuilder) -> None:
        _convs(*before)(net)
        net.branches("split", _convs(Layer(384, WIDE)), _convs(Layer(384, TALL)))

    return describe


def _figure_5(pooled: int) -> tuple[Part[NetworkBuilder], ...]:
    """Branches with a 5x5 convolution and with two 3x3 ones."""
    wide = _convs(Layer(64), Layer(96, 3), Layer(96, 3))
    return (_convs(Layer(64)), _convs(Layer(48), Layer(64, 5)), wide, _averaged(pooled))


def _figure_6(inner: int) -> tuple[Part[NetworkBuilder], ...]:
    """Branches in which 7x7 convolutions are split into rows and columns."""
    twice = _convs(Layer(inner), Layer(inner, COLUMN), Layer(inner, ROW), Layer(inner, COLUMN), Layer(192, ROW))
    return (_convs(Layer(192)), _convs(Layer(inner), Layer(inner, ROW), Layer(192, COLUMN)), twice, _averaged(192))


FIGURE_7 = (_convs(Layer(320)), _split(Layer(384)), _split(Layer(448), Layer(384, 3)), _averaged(192))
FIRST_REDUCTION = (_reducing(to=384), _reducing(Layer(64), Layer(96, 3), to=96), _reducing_pool)
SECOND_REDUCTION = (
    _reducing(Layer(192), to=320),
    _reducing(Layer(192), Layer(192, ROW), Layer(192, COLUMN), to=192),
    _reducing_pool,
)
MODULES: dict[str, tuple[Part[NetworkBuilder], ...]] = {
    "5b": _figure_5(32),
    "5c": _figure_5(64),
    "5d": _figure_5(64),
    "6a": FIRST_REDUCTION,
    "6b": _figure_6(128),
    "6c": _figure_6(160),
    "6d": _figure_6(160),
    "6e": _figure_6(192),
    "7a": SECOND_REDUCTION,
    "7b": FIGURE_7,
    "7c": FIGURE_7,
}
"""The branches of each module, after the figures of the paper's section 6, by torchvision's names."""
AUXILIARY = "6e"
"""The module that the auxiliary head follows."""


def _auxiliary(net: NetworkBuilder) -> None:
    side = net.shape[1]
    net.pool("pool", stride=3, kernel=min(5, side), pad=0, kind="average", round_up=False)
    net.conv("conv1", net.scaled(128), 1)
    net.conv("conv2", net.scaled(768), min(5, net.shape[1]))
    net.pool("average", stride=1, kernel=net.shape[1], pad=0, kind="average")
    net.classifier("clf")


def _stem(net: NetworkBuilder) -> None:
    strides = net.recipe.stem_stride > 1
    border = 0 if strides else 1
    net.stem("conv1a", net.scaled(32), pad=0 if strides else None)
    net.conv("conv2a", net.scaled(32), 3, pad=border)
    net.conv("conv2b", net.scaled(64), 3, pad=1)
    if strides:
        net.pool("pool1", round_up=False)
    net.conv("conv3b", net.scaled(80), 1)
    net.conv("conv4a", net.scaled(192), 3, pad=border)
    if strides:
        net.pool("pool2", round_up=False)


OWN = BATCH_NORM | {"stem_kernel": 3, "stem_stride": 2, "head": "avepool_clf", "aux_weight": 0.4}
SUMMARY = "eleven modules of factorised convolutions and an auxiliary head"


@network("inception_v3", SUMMARY, "Szegedy et al. 2016", side=299, own=OWN)
def inception_v3(net: NetworkBuilder) -> None:
    """The network."""
    net.input()
    _stem(net)
    for name, parts in MODULES.items():
        net.branches(f"mixed_{name}", *parts)
        if name == AUXILIARY:
            net.auxiliary_head(f"aux_{name}", _auxiliary)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))
