"""Inception with batch normalisation (Ioffe & Szegedy 2015, figure 5): GoogLeNet with two 3x3 instead of each 5x5.

Stages 3 and 4 end in a module that strides: two branches and a pooling, without projections. Poolings inside modules
average, except in these and in the last. An auxiliary head follows each stage. Widths are those of the benchmark's
`lim0606`; the paper's pooled branches of 4c and 4d are 128 wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.googlenet import OWN, Form, auxiliary, stem

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder


@dataclass(frozen=True)
class Module:
    """The widths of the branches: 1x1; 3x3 and twice 3x3, each after a reduction; 1x1 after a pooling."""

    name: str
    one: int
    """0 in a module that strides, like `pooled`."""
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pooled: int
    pooling: str = "average"


MODULES = (
    Module("3a", 64, 64, 64, 64, 96, 32),
    Module("3b", 64, 64, 96, 64, 96, 64),
    Module("3c", 0, 128, 160, 64, 96, 0),
    Module("4a", 224, 64, 96, 96, 128, 128),
    Module("4b", 192, 96, 128, 96, 128, 128),
    Module("4c", 160, 128, 160, 128, 160, 96),
    Module("4d", 96, 128, 192, 160, 192, 96),
    Module("4e", 0, 128, 192, 192, 256, 0),
    Module("5a", 352, 192, 320, 160, 224, 128),
    Module("5b", 352, 192, 320, 192, 224, 128, "max"),
)
HIDDEN = 1024


def _module(module: Module, net: NetworkBuilder) -> None:
    stride = 1 if module.one else 2

    def one(part: NetworkBuilder) -> None:
        part.conv("conv1", net.scaled(module.one), 1)

    def three(part: NetworkBuilder) -> None:
        part.conv("conv3_reduce", net.scaled(module.three_reduce), 1)
        part.conv("conv3", net.scaled(module.three), 3, stride, pad=1)

    def double(part: NetworkBuilder) -> None:
        part.conv("conv33_reduce", net.scaled(module.double_reduce), 1)
        part.conv("conv33a", net.scaled(module.double), 3, pad=1)
        part.conv("conv33b", net.scaled(module.double), 3, stride, pad=1)

    def pooled(part: NetworkBuilder) -> None:
        part.pool("pool", stride=1, kernel=3, pad=1, kind=module.pooling)
        part.conv("conv_pool", net.scaled(module.pooled), 1)

    def passed(part: NetworkBuilder) -> None:
        # An odd map has a border, so that the pooling leaves as many pixels as the convolutions.
        part.pool("pool", kernel=3, pad=part.shape[1] % 2, kind="max")

    net.branches("mixed", *((one, three, double, pooled) if module.one else (three, double, passed)))


def inception_bn(net: NetworkBuilder) -> None:
    """Inception with batch normalisation."""
    net.input()
    stem(net, Form(lrn=False))
    for module in MODULES:
        net.add(f"inception_{module.name}", *net.part(partial(_module, module)))
        if not module.one:
            net.auxiliary_head(f"aux_{module.name}", partial(auxiliary, dropout=0.0))
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


NORMALISED: dict[str, Any] = {"norm": "batch_scale", "norm_position": "before", "conv_bias": False, "fc_bias": False}
network(
    "inception_bn",
    "GoogLeNet with two 3x3 per 5x5, strided modules, batch normalisation and two auxiliary heads",
    "Ioffe & Szegedy 2015; Mishkin et al. 2017, repository",
    own=OWN | NORMALISED | {"dropout": 0.0},
)(inception_bn)
