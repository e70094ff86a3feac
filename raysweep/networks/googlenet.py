"""GoogLeNet (Szegedy et al. 2015): nine inception modules, auxiliary heads, LRN; with skips; in torchvision's form.

If the first convolution does not stride (small images), the pooling after it is omitted. In the benchmark's residual
form, modules of stages 4 and 5 that follow no pooling have a skip, projected by a 1x1 convolution if the channels
differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder


@dataclass(frozen=True)
class Inception:
    """The widths of a module's four branches: 1x1; 3x3 and 5x5, each after a reduction; 1x1 after a pooling."""

    name: str
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pooled: int


MODULES = (
    Inception("3a", 64, 96, 128, 16, 32, 32),
    Inception("3b", 128, 128, 192, 32, 96, 64),
    Inception("4a", 192, 96, 208, 16, 48, 64),
    Inception("4b", 160, 112, 224, 24, 64, 64),
    Inception("4c", 128, 128, 256, 24, 64, 64),
    Inception("4d", 112, 144, 288, 32, 64, 64),
    Inception("4e", 256, 160, 320, 32, 128, 128),
    Inception("5a", 256, 160, 320, 32, 128, 128),
    Inception("5b", 384, 192, 384, 48, 128, 128),
)
"""Table 1 of the paper."""
AUXILIARY = ("4a", "4d")
"""Modules that an auxiliary head follows."""
SKIPPED = ("4b", "4c", "4d", "4e", "5b")
"""Modules with a skip around them in the residual form."""
HIDDEN = 1024


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks of the family differ."""

    five: int = 5
    """Kernel of the 5x5 branch, px."""
    lrn: bool = True
    last_pool: int | None = None
    """Window of the pooling before 5a, px; by default the recipe's."""
    skips: bool = False


def _inception(net: NetworkBuilder, form: Form, module: Inception) -> None:
    def three(part: NetworkBuilder) -> None:
        part.conv("conv3_reduce", net.scaled(module.three_reduce), 1)
        part.conv("conv3", net.scaled(module.three), 3, pad=1)

    def five(part: NetworkBuilder) -> None:
        part.conv("conv5_reduce", net.scaled(module.five_reduce), 1)
        part.conv("conv5", net.scaled(module.five), form.five, pad=form.five // 2)

    def pooled(part: NetworkBuilder) -> None:
        part.pool("pool", stride=1, kernel=3, pad=1)
        part.conv("conv_pool", net.scaled(module.pooled), 1)

    net.branches("mixed", lambda part: part.conv("conv1", net.scaled(module.one), 1), three, five, pooled)


def _module(net: NetworkBuilder, form: Form, module: Inception) -> None:
    name, body = f"inception_{module.name}", partial(_inception, form=form, module=module)
    if not form.skips or module.name not in SKIPPED:
        net.add(name, *net.part(body))
        return
    channels = net.part(body)[1][0]
    same = channels == net.shape[0]
    net.residual(name, body, None if same else lambda part: part.conv("project", channels, 1, act=False))


def auxiliary(net: NetworkBuilder, dropout: float = 0.7) -> None:
    """Section 5 of the paper: 5x5 pooling of stride 3, 1x1 convolution of 128, hidden layer of 1024, dropout of 0.7."""
    net.pool("pool", stride=3, kernel=min(5, net.shape[1]), pad=0, kind="average")
    net.conv("conv", net.scaled(128), 1)
    net.fc("fc", net.scaled(1024))
    net.dropout("drop", dropout)
    net.classifier("clf")


def stem(net: NetworkBuilder, form: Form) -> None:
    """The layers before the first module."""
    net.stem("conv1", net.scaled(64))
    if net.recipe.stem_stride > 1:
        net.pool("pool1")
    if form.lrn:
        net.lrn("norm1")
    net.conv("conv2_reduce", net.scaled(64), 1)
    net.conv("conv2", net.scaled(192), 3, pad=1)
    if form.lrn:
        net.lrn("norm2")
    net.pool("pool2")


def googlenet(form: Form, net: NetworkBuilder) -> None:
    """The GoogLeNet of this form."""
    net.input()
    stem(net, form)
    for module in MODULES:
        if module.name == "4a":
            net.pool("pool3")
        if module.name == "5a":
            net.pool("pool4", kernel=form.last_pool)
        _module(net, form, module)
        if module.name in AUXILIARY:
            net.auxiliary_head(f"aux_{module.name}", auxiliary)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


OWN: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2, "head": "avepool_clf", "dropout": 0.4, "aux_weight": 0.3}
BN: dict[str, Any] = {**BATCH_NORM, "dropout": 0.2, "aux_weight": 0.0}
BENCHMARK = "Mishkin et al. 2017, repository"
PAPER = "Szegedy et al. 2015"
network("googlenet", "nine inception modules and two auxiliary heads", PAPER, own=OWN)(partial(googlenet, Form()))
network("googlenet_residual", "googlenet with skips around modules of stages 4 and 5", BENCHMARK, own=OWN)(
    partial(googlenet, Form(skips=True))
)
network("googlenet_bn", "torchvision's form: batch normalisation, no LRN, 3x3 instead of 5x5", PAPER, own=OWN | BN)(
    partial(googlenet, Form(five=3, lrn=False, last_pool=2))
)
