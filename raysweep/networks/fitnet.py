"""FitNets: thin and deep networks for CIFAR (Romero et al. 2015), as Mishkin & Matas 2016 trained them.

Widths and dropout are those of the published files: 0.2 of the input, after each pooling and after the hidden layer.
The last pooling is a global maximum. The file of `fitresnet` is not published; here it is reconstructed as fitnet4 with
an identity skip around every pair of layers of equal width, added after the non-linearity so that maxout works too.
`fitnet1_128` is the benchmark's form for ImageNet at 128 px.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks of the family differ."""

    stages: tuple[tuple[int, ...], ...]
    """Widths of the 3x3 convolutions; a pooling follows each stage."""
    skips: bool = False
    stem: int = 0
    """Width of a convolution before the first stage; 0: the first of the stage has the recipe's kernel and stride."""


def _pair(net: NetworkBuilder, width: int) -> None:
    for part in (1, 2):
        net.conv(f"conv{part}", width, 3, pad=1)


def _stage(net: NetworkBuilder, form: Form, number: int, widths: tuple[int, ...]) -> None:
    place = 0
    for width, equal in groupby(widths):
        left = len(list(equal))
        while left:
            place += 1
            name, scaled = f"conv{number}_{place}", net.scaled(width)
            if form.skips and left > 1 and net.shape[0] == scaled:
                net.residual(name, partial(_pair, width=scaled))
                left -= 2
                continue
            if number == place == 1 and not form.stem:
                net.stem(name, scaled)
            else:
                net.conv(name, scaled, 3, pad=1)
            left -= 1


def fitnet(form: Form, net: NetworkBuilder) -> None:
    """The FitNet of this form."""
    net.input()
    if form.stem:
        net.stem("conv0", net.scaled(form.stem), 0 if net.recipe.stem_stride > 1 else None)
    for number, widths in enumerate(form.stages, 1):
        _stage(net, form, number, widths)
        if number < len(form.stages):
            net.pool(f"pool{number}")
            net.dropout(f"drop{number}", net.recipe.dropout)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


HIDDEN = 500
FITNET1 = Form(((16, 16, 16), (32, 32, 32), (48, 48, 64)))
FITNET4 = Form(((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6))
OWN: dict[str, Any] = {"stem_kernel": 3, "stem_stride": 1, "pool_kernel": 2, "head": "maxpool_fc"}
OWN |= {"dropout": 0.2, "input_dropout": 0.2}
ROMERO = "Romero et al. 2015"
for _name, _form, _summary, _paper in (
    ("fitnet1", FITNET1, "nine thin convolutions", ROMERO),
    ("fitnet4", FITNET4, "seventeen thin convolutions", ROMERO),
    ("fitresnet", Form(FITNET4.stages, skips=True), "fitnet4 with skips, a reconstruction", "Mishkin & Matas 2016"),
):
    network(_name, _summary, _paper, side=32, classes=10, own=OWN)(partial(fitnet, _form))
network(
    "fitnet1_128",
    "fitnet1 behind CaffeNet's first convolution, without dropout",
    "Mishkin et al. 2017, repository",
    side=128,
    own={"pool_kernel": 2, "head": "maxpool_fc", "dropout": 0.0},
)(partial(fitnet, replace(FITNET1, stem=96)))
