"""VGG-like networks of the benchmark: a strided 7x7 first layer, then VGG's stages at half the width.

They are reconstructed from the authors' one-line descriptions, since the files are not known. `_res` has a skip with a
1x1 projection around every convolution ("dense residual projections"). `vgglike50_ror` is a ResNet of ResNets (Zhang et
al. 2016): 24 blocks of two convolutions with skips around each block, each stage and all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import OWN

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder

STEM_WIDTH = 32
WIDTHS = (64, 128, 256, 256)
DEPTHS = (2, 3, 3, 3)
HIDDEN = 2048
ROR_DEPTHS = (6, 6, 6, 6)
"""Blocks of two layers in each stage: 50 layers with the first one and the classifier."""


def _stem(net: NetworkBuilder) -> None:
    net.input()
    net.stem("conv1", net.scaled(STEM_WIDTH))
    if net.recipe.stem_stride > 1:
        net.pool("pool1")


def vgglike(skips: bool, net: NetworkBuilder) -> None:
    """Eleven 3x3 convolutions in four stages after the first layer.

    Raises:
        RaysweepError: `conv_dropout` does not have one share for each convolution after the first.
    """
    _stem(net)
    shares = iter(net.conv_dropouts(sum(DEPTHS)))
    for stage, (depth, base) in enumerate(zip(DEPTHS, WIDTHS, strict=True), 2):
        for part in range(1, depth + 1):
            name, width = f"conv{stage}_{part}", net.scaled(base)
            if skips:
                net.residual(name, partial(_conv, width=width), partial(_projection, width=width))
            else:
                net.conv(name, width, 3, pad=1)
            net.dropout(f"drop{stage}_{part}", next(shares))
        if stage < len(WIDTHS) + 1:
            net.pool(f"pool{stage}")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _conv(net: NetworkBuilder, width: int) -> None:
    net.conv("conv", width, 3, pad=1)


def _projection(net: NetworkBuilder, width: int, stride: int = 1) -> None:
    net.conv("project", width, 1, stride, act=False)


@dataclass(frozen=True)
class Levels:
    """The parameters in which the ResNets of ResNets differ."""

    kernels: tuple[Kernel, ...] = (3,)
    """The convolutions that form a layer; the first of them strides."""
    root: bool = True
    """Whether there is a skip around all stages."""


def ror(levels: Levels, net: NetworkBuilder) -> None:
    """ResNet of ResNets."""
    _stem(net)
    if levels.root:
        shortcut = partial(_projection, width=net.scaled(WIDTHS[-1]), stride=2 ** (len(WIDTHS) - 1))
        net.residual("root", partial(_stages, levels), shortcut)
        net.activate("root_act")
    else:
        _stages(levels, net)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _stages(levels: Levels, net: NetworkBuilder) -> None:
    for number, (base, depth) in enumerate(zip(WIDTHS, ROR_DEPTHS, strict=True), 1):
        width, stride = net.scaled(base), 1 if number == 1 else 2
        body = partial(_blocks, levels=levels, width=width, stride=stride, depth=depth)
        net.residual(f"stage{number}", body, partial(_projection, width=width, stride=stride))
        net.activate(f"stage{number}_act")


def _blocks(net: NetworkBuilder, levels: Levels, width: int, stride: int, depth: int) -> None:
    for block in range(1, depth + 1):
        step = stride if block == 1 else 1
        same = step == 1 and net.shape[0] == width
        skip = None if same else partial(_projection, width=width, stride=step)
        net.residual(f"block{block}", partial(_body, levels, width=width, stride=step), skip)
        if block < depth:
            net.activate(f"block{block}_act")


def _body(levels: Levels, net: NetworkBuilder, width: int, stride: int) -> None:
    layers = levels.kernels * 2
    for number, kernel in enumerate(layers, 1):
        net.conv(f"conv{number}", width, kernel, stride if number == 1 else 1, None, act=number < len(layers))


STEM: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2}
PAPER = "Mishkin et al. 2017, repository"
for _name, _skips, _summary in (
    ("vgglike", False, "VGG's stages at half the width after a 7x7 layer; a reconstruction"),
    ("vgglike_res", True, "vgglike with a projected skip around every convolution; a reconstruction"),
):
    network(_name, _summary, PAPER, side=128, own=STEM, factors=["conv_dropout"])(partial(vgglike, _skips))
for _name, _levels, _summary in (
    ("vgglike50_ror", Levels(), "ResNet of ResNets of 50 layers; a reconstruction"),
    ("vgglike50_ror_var", Levels(root=False), "vgglike50_ror without the skip around all stages; a reconstruction"),
    ("vgglike50_ror_1x3", Levels(((1, 3), (3, 1))), "vgglike50_ror with 1x3 and 3x1 instead of 3x3; a reconstruction"),
    ("vgglike50_ror_1x5", Levels(((1, 5), (5, 1))), "vgglike50_ror with 1x5 and 5x1 instead of 3x3; a reconstruction"),
):
    network(_name, _summary, f"{PAPER}; Zhang et al. 2016", side=128, own=OWN)(partial(ror, _levels))
