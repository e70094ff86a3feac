"""The network of NAS-Bench-201 (Dong & Yang 2020): a repeated cell of four nodes.

A convolution to 16 channels, then three stacks of five cells with 16, 32 and 64 channels, with a residual block of
stride 2 before the second and third stack. The skip of this block averages 2x2 pixels and has a 1x1 convolution without
normalisation.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from raysweep.genotypes.nasbench201 import CELLS, EDGES, STACKS, STEM, Cell201
from raysweep.networks import genotype_text, network
from raysweep.networks.resnet import OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 256
PLAIN = Cell201(("nor_conv_3x3",) * len(EDGES))
"""The cell with only 3x3 convolutions."""


def _block(width: int, net: NetworkBuilder) -> None:
    for number, stride in enumerate((2, 1), 1):
        net.activate(f"act{number}")
        net.conv(f"conv{number}", width, 3, stride, 1, act=False)


def _shortcut(width: int, net: NetworkBuilder) -> None:
    net.pool("pool", kernel=2, pad=0, kind="average")
    net.conv("project", width, 1, act=False, norm=False)


def nasbench201(net: NetworkBuilder) -> None:
    """Build the network of the cell in the recipe.

    Raises:
        RaysweepError: a missing or invalid genotype.
    """
    recipe, width = net.recipe, net.scaled(STEM)
    cell = Cell201.parse(genotype_text(recipe, PLAIN))
    nodes = [[word for word, (_, to) in zip(cell.operations, EDGES, strict=True) if to == node] for node in (1, 2, 3)]
    net.input()
    net.stem("conv1", width, act=False)
    for stack in range(STACKS):
        if stack:
            wide = width << stack
            net.residual(f"reduction{stack}", partial(_block, wide), partial(_shortcut, wide))
        for number in range(1, (recipe.cell_repeats or CELLS) + 1):
            net.edges(f"cell{stack + 1}_{number}", nodes)
    net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


network(
    "nasbench201",
    "15 cells of network.genotype, 16 to 64 channels, for 32 px",
    "Dong & Yang 2020",
    side=32,
    classes=10,
    own={**OWN_CIFAR, "genotype": str(PLAIN)},
    factors=("genotype", "cell_repeats"),
)(nasbench201)
