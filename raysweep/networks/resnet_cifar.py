"""Residual networks for CIFAR: He et al. 2016a, section 4.2; stochastic depth; forms that change the block.

Three stages of n blocks of two 3x3 convolutions, 6n + 2 layers. Shortcuts have no parameters: at the start of a stage
they take every second pixel and fill the further channels with zeros. With `network.survival` below 1, training leaves
blocks out at random (Huang et al. 2016): block l of L is kept with probability 1 - l / L (1 - survival).

`elu_` (Shah et al. 2016): ELU instead of normalisation and ReLU inside a block, normalisation at its end, nothing after
the sum. `weighted_` (Shen & Zeng 2016): the non-linearity before the sum, nothing after it, and a learned weight on the
residual. `rir` (Targ et al. 2016): every convolution is a generalised residual layer, in which half of the channels
form a stream with a skip and half one without. It is not known how the last two reduce maps and what precedes their
first block; here as in the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.builder import Part
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 256
DEPTHS = (20, 32, 44, 56, 110, 1202)


def _body(net: NetworkBuilder, width: int, stride: int, inner_norm: bool = True) -> None:
    net.conv("conv1", width, 3, stride, 1, norm=inner_norm)
    net.conv("conv2", width, 3, 1, 1, act=False)


def _weighted_body(net: NetworkBuilder, width: int, stride: int) -> None:
    net.conv("conv1", width, 3, stride, 1)
    net.conv("conv2", width, 3, 1, 1)
    net.learned_weight("weight")


def _streams_body(net: NetworkBuilder, width: int, stride: int) -> None:
    _generalised(net, "layer1", width, stride)
    net.activate("layer1_act")
    _generalised(net, "layer2", width, 1)


def _generalised(net: NetworkBuilder, name: str, width: int, stride: int) -> None:
    """Add a convolution of both streams; the first half of the channels is added to its result (equations 1 and 2)."""
    half = net.shape[0] // 2
    net.residual(
        name,
        lambda part: part.conv("conv", width, 3, stride, 1, act=False),
        lambda part: part.padded_shortcut("stream", width, stride, taken=half),
    )


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks of the family differ."""

    depth: int
    """Number of layers with weights on the longest path, 6n + 2."""
    body: Callable[..., None] = _body
    """Adds the body of a block, with a width and a stride."""
    activated: bool = True
    """Whether the non-linearity follows the sum."""
    widths: tuple[int, int, int] = (16, 32, 64)


def resnet_cifar(form: Form, net: NetworkBuilder) -> None:
    """The network of this form."""
    net.input()
    net.stem("conv1", net.scaled(form.widths[0]))
    places = [(width, block) for width in form.widths for block in range((form.depth - 2) // 6)]
    for number, (base, block) in enumerate(places, 1):
        width, stride = net.scaled(base), 2 if block == 0 and base > form.widths[0] else 1
        survival = 1 - number / len(places) * (1 - net.recipe.survival)
        body = partial(form.body, width=width, stride=stride)
        net.residual(f"block{number}", body, _shortcut(net, width, stride), survival)
        if form.activated:
            net.activate(f"block{number}_act")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _shortcut(net: NetworkBuilder, width: int, stride: int) -> Part[NetworkBuilder] | None:
    if stride == 1 and net.shape[0] == width:
        return None
    return lambda part: part.padded_shortcut("pad", width, stride)


def _member(name: str, form: Form, summary: str, paper: str, activation: str = "relu") -> None:
    own = {**OWN_CIFAR, "activation": activation}
    network(name, summary, paper, side=32, classes=10, own=own, factors=["survival"])(partial(resnet_cifar, form))


for _depth in DEPTHS:
    _member(f"resnet{_depth}_cifar", Form(_depth), f"{_depth} layers, parameter-free shortcuts", "He et al. 2016a")
_member(
    "elu_resnet110_cifar",
    Form(110, partial(_body, inner_norm=False), activated=False),
    "resnet110_cifar with ELU inside its blocks and nothing after the sum",
    "Shah et al. 2016",
    "elu",
)
_member(
    "weighted_resnet110_cifar",
    Form(110, _weighted_body, activated=False),
    "resnet110_cifar with a learned weight on each residual",
    "Shen & Zeng 2016",
)
_member(
    "rir20_cifar",
    Form(20, _streams_body, widths=(32, 64, 128)),
    "ResNet in ResNet: resnet20_cifar with generalised residual layers; a reconstruction",
    "Targ et al. 2016",
)
