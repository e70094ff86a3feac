"""VGG-like networks and ResNets of ResNets that others contributed to the benchmark (Mishkin et al. 2017, repository).

A strided 7x7 layer, then four stages with a 2x2 pooling between them. `vgglike128` has VGG's plain stages. In the
others 1x1 convolutions carry the input of a stage to its own end and to those of the next two (the first stage's: of
the next one), strided as the poolings between; all are summed before the non-linearity. The stages of `vgglike128_res`
are plain, those of `ror` are bottlenecks with their own skips (Zhang et al. 2016), some of them with other kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.errors import InapplicableError
from raysweep.networks import network
from raysweep.networks.resnet_contributed import PADDED, PAPER, convolutions, projection

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder

    Part = Callable[[NetworkBuilder], None]

STEM_WIDTH = 64
HIDDEN = 2048


def _stem(net: NetworkBuilder) -> None:
    net.input()
    net.stem("conv1", net.scaled(STEM_WIDTH), 0)
    if net.recipe.stem_stride > 1:
        net.pool("pool1")


def _reach(stage: int) -> int:
    """The number of further stages, counted from 0, to whose ends the input of this one is carried."""
    return 1 if stage == 0 else 2


def _skipped(
    net: NetworkBuilder, widths: tuple[int, ...], body: Callable[[int], Part], end: Callable[[int], Part]
) -> None:
    """Add stages with skips: each is its body, a sum with the skips that end there, and what follows the sum.

    Raises:
        InapplicableError: the recipe concatenates the image after poolings.
    """
    if net.recipe.concat_rgb:
        raise InapplicableError(f"network.concat_rgb changes the maps that the skips of {net.recipe.name} add up.")
    nodes: list[list[tuple[int, Part]]] = []
    inputs = [0]
    for stage, width in enumerate(widths):
        skips: list[tuple[int, Part]] = [
            (inputs[start], partial(projection, width=width, stride=2 ** (stage - start)))
            for start in range(stage + 1)
            if stage - start <= _reach(start)
        ]
        nodes += [[(inputs[-1], body(stage)), *skips], [(len(nodes) + 1, end(stage))]]
        inputs.append(len(nodes))
    net.sums("stages", nodes)


# --- VGG

VGG_WIDTHS = (96, 128, 256, 512)
VGG_DEPTHS = (2, 3, 3, 3)


def vgglike(skips: bool, net: NetworkBuilder) -> None:
    """Eleven 3x3 convolutions in four stages after the first layer.

    Raises:
        RaysweepError: `conv_dropout` does not have one share for each convolution after the first.
        InapplicableError: with `skips`, `concat_rgb`.
    """
    _stem(net)
    widths = tuple(map(net.scaled, VGG_WIDTHS))
    shares = iter(net.conv_dropouts(sum(VGG_DEPTHS)))
    stages = [[next(shares) for _ in range(depth)] for depth in VGG_DEPTHS]

    def body(stage: int) -> Part:
        return partial(_plain, stage=stage, width=widths[stage], shares=stages[stage][:-1])

    def end(stage: int) -> Part:
        return partial(_vgg_end, stage=stage, share=stages[stage][-1], halved=skips)

    if skips:
        _skipped(net, widths, body, end)
    else:
        for stage in range(len(widths)):
            body(stage)(net)
            end(stage)(net)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _plain(net: NetworkBuilder, stage: int, width: int, shares: list[float]) -> None:
    for number, share in enumerate(shares, 1):
        net.conv(f"conv{stage + 2}_{number}", width, 3, pad=1)
        net.dropout(f"drop{stage + 2}_{number}", share)
    net.conv(f"conv{stage + 2}_{len(shares) + 1}", width, 3, pad=1, act=False)


def _vgg_end(net: NetworkBuilder, stage: int, share: float, halved: bool) -> None:
    """Add what follows the last convolution or sum of a stage; `halved`: the pooling has to halve the map."""
    net.activate(f"act{stage + 2}")
    net.dropout(f"drop{stage + 2}", share)
    if stage + 1 < len(VGG_WIDTHS):
        net.pool(f"pool{stage + 2}", kernel=2 if halved else None, pad=0 if halved else None)


# --- ResNet of ResNets

Block = tuple["Kernel", ...]
B: Block = (1, 3, 1)
DOUBLE: Block = (1, 3, 3, 1)
THREE: Block = ((1, 3), (3, 1))
FIVE: Block = (1, (1, 5), (5, 1), 1)
Stages = tuple[tuple[Block, ...], ...]
ROR_WIDTHS = (32, 64, 128, 256)
EXPANSION = 4


def _every_second(block: Block) -> Stages:
    """Every second block of a stage, but not its last one."""
    return (B, block, B), (B, block, B, B), (B, block, B, block, B, B), (B, block, B)


def ror(stages: Stages, net: NetworkBuilder) -> None:
    """The ResNet of ResNets of these blocks.

    Raises:
        InapplicableError: `concat_rgb`.
    """
    _stem(net)
    net.activate("pool1_act")
    widths = tuple(net.scaled(width) for width in ROR_WIDTHS)
    outer = tuple(net.scaled(EXPANSION * width) for width in ROR_WIDTHS)
    _skipped(
        net,
        outer,
        lambda stage: partial(_blocks, blocks=stages[stage], inner=widths[stage], outer=outer[stage]),
        lambda stage: partial(_ror_end, pooled=stage + 1 < len(stages)),
    )
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


def _blocks(net: NetworkBuilder, blocks: tuple[Block, ...], inner: int, outer: int) -> None:
    for number, kernels in enumerate(blocks, 1):
        body = partial(convolutions, kernels=kernels, inner=inner, outer=outer)
        net.residual(f"block{number}", body, partial(projection, width=outer) if number == 1 else None)
        if number < len(blocks):
            net.activate(f"block{number}_act")


def _ror_end(net: NetworkBuilder, pooled: bool) -> None:
    if pooled:
        net.pool("pool", kernel=2, pad=0)
    net.activate("act")


VGG_OWN: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2, "pool_kernel": 2}
for _name, _skips, _summary in (
    ("vgglike128", False, "VGG's stages, 96 to 512 wide, after a strided 7x7 layer"),
    ("vgglike128_res", True, "vgglike128 with projections from each stage to the ends of up to three"),
):
    network(_name, _summary, PAPER, side=128, own=VGG_OWN, factors=["conv_dropout"])(partial(vgglike, _skips))
# The non-linearity after the first pooling changes nothing: the first layer's is ReLU in the files.
ROR_OWN: dict[str, Any] = {**PADDED, "dropout": 0.2, "activation": "elu", "stem_activation": "relu"}
for _name, _stages, _summary in (
    (
        "ror",
        ((B,) * 3, (B,) * 4, (B,) * 6, (B,) * 3),
        "ResNet of ResNets: 16 bottlenecks, skips over up to three stages",
    ),
    ("ror_1x3", _every_second(THREE), "ror with every second block 1x3 and 3x1"),
    ("ror_1x5", _every_second(FIVE), "ror with 1x5 and 5x1 instead of 3x3 in every second block"),
    (
        "ror_var",
        ((B, DOUBLE, DOUBLE), (B, THREE, B, B), (B, FIVE, DOUBLE, THREE, B, B), (B, DOUBLE, DOUBLE)),
        "ror with two 3x3, 1x5 and 5x1, or 1x3 and 3x1 in some blocks",
    ),
):
    network(_name, _summary, f"{PAPER}; Zhang et al. 2016", side=128, own=ROR_OWN, factors=["stem_activation"])(
        partial(ror, _stages)
    )
