"""VGG-like networks of the benchmark: a first layer of 7x7 that strides, then VGG's stages, half as wide.

Reconstructions from the authors' one-line descriptions, since their files are not established. `_res` has a skip with a
1x1 projection around every convolution ("dense residual projections"). `vgglike50_ror` is a ResNet of ResNets (Zhang et
al. 2016): 24 blocks of two convolutions with a skip around each, around each stage and around all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import OWN

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel, Part
    from raysweep.nn.network_builder import NetworkBuilder

STEM_WIDTH = 32
WIDTHS = (64, 128, 256, 256)
DEPTHS = (2, 3, 3, 3)
HIDDEN = 2048
ROR_DEPTHS = (6, 6, 6, 6)
"""Blocks of two layers: 50 layers with the first and the classifier."""
SQUARE: tuple[Kernel, ...] = (3,)


def _stem(net: NetworkBuilder) -> None:
    recipe = net.recipe
    net.input()
    net.conv("conv1", net.scaled(STEM_WIDTH), recipe.stem_kernel, recipe.stem_stride, recipe.stem_kernel // 2)
    if recipe.stem_stride > 1:
        net.pool("pool1")


def vgglike(skips: bool, net: NetworkBuilder) -> None:
    """Eleven 3x3 convolutions in four stages after the first layer.

    Raises:
        InapplicableError: images too small.
        RaysweepError: not one share in `conv_dropout` for each convolution after the first.
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
    """What tells one ResNet of ResNets from another."""

    kernels: tuple[Kernel, ...] = SQUARE
    """What stands for a 3x3 convolution; the first of them strides."""
    root: bool = True
    """A skip around all stages."""


def ror(levels: Levels, net: NetworkBuilder) -> None:
    """ResNet of ResNets.

    Raises:
        InapplicableError: a non-linearity that cannot follow a sum, or images too small.
    """
    _stem(net)
    if levels.root:
        stride = 2 ** (len(WIDTHS) - 1)
        net.residual(
            "root", partial(_stages, levels), partial(_projection, width=net.scaled(WIDTHS[-1]), stride=stride)
        )
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
        now = stride if block == 1 else 1
        skip: Part[NetworkBuilder] | None = None
        if now > 1 or net.shape[0] != width:
            skip = partial(_projection, width=width, stride=now)
        net.residual(f"block{block}", partial(_body, levels=levels, width=width, stride=now), skip)
        if block < depth:
            net.activate(f"block{block}_act")


def _body(net: NetworkBuilder, levels: Levels, width: int, stride: int) -> None:
    layers = [kernel for _ in range(2) for kernel in levels.kernels]
    for number, kernel in enumerate(layers, 1):
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        net.conv(
            f"conv{number}",
            width,
            kernel,
            stride if number == 1 else 1,
            (rows // 2, columns // 2),
            act=number < len(layers),
        )


STEM: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2}
PAPER = "Mishkin et al. 2017, repository"
for _name, _skips, _summary in (
    ("vgglike", False, "VGG's stages, half as wide, after a 7x7 layer; a reconstruction"),
    ("vgglike_res", True, "vgglike with a projected skip around every convolution; a reconstruction"),
):
    network(_name, _summary, PAPER, side=128, own=STEM, factors=["conv_dropout"])(partial(vgglike, _skips))
for _name, _levels, _summary in (
    ("vgglike50_ror", Levels(), "ResNet of ResNets of 50 layers; a reconstruction"),
    ("vgglike50_ror_var", Levels(root=False), "vgglike50_ror without the skip around all stages; a reconstruction"),
    ("vgglike50_ror_1x3", Levels(((1, 3), (3, 1))), "vgglike50_ror with 1x3 and 3x1 for 3x3; a reconstruction"),
    ("vgglike50_ror_1x5", Levels(((1, 5), (5, 1))), "vgglike50_ror with 1x5 and 5x1 for 3x3; a reconstruction"),
):
    network(_name, _summary, f"{PAPER}; Zhang et al. 2016", side=128, own=OWN)(partial(ror, _levels))
