"""SqueezeNet (Iandola et al. 2016), releases 1.0 and 1.1: fire modules and no fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Widths of the eight fire modules: of the squeeze layer and of each of the two expand layers."""
HIDDEN = 2048
OWN: dict[str, Any] = {"stem_stride": 2, "head": "clf_act_avepool"}


@dataclass(frozen=True)
class Form:
    """The parameters in which the releases differ."""

    stem_width: int
    stem_kernel: int
    pools_after: tuple[int, int]
    """The fire modules, counted from 1, that a pooling follows; another pooling follows the first convolution."""


def _fire(net: NetworkBuilder, name: str, squeezed: int, expanded: int) -> None:
    net.conv(f"{name}_squeeze", net.scaled(squeezed), 1)
    width = net.scaled(expanded)
    net.branches(
        f"{name}_expand",
        lambda part: part.conv("conv1x1", width, 1),
        lambda part: part.conv("conv3x3", width, 3, pad=1),
    )


def squeezenet(form: Form, net: NetworkBuilder) -> None:
    """SqueezeNet. If the first convolution does not stride (small images), the first pooling is omitted."""
    net.input()
    strides = net.recipe.stem_stride > 1
    net.stem("conv1", net.scaled(form.stem_width), 0 if strides else None)
    if strides:
        net.pool("pool1")
    for number, (squeezed, expanded) in enumerate(FIRES, 1):
        _fire(net, f"fire{number + 1}", squeezed, expanded)
        if number in form.pools_after:
            net.pool(f"fire{number + 1}_pool")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


MEMBERS: Mapping[str, tuple[Form, str]] = {
    "squeezenet1_0": (Form(96, 7, (3, 7)), "release 1.0: AlexNet's accuracy with 1/50 of its parameters"),
    "squeezenet1_1": (Form(64, 3, (2, 4)), "release 1.1: the same with less than half of the MACs"),
}
for _name, (_form, _summary) in MEMBERS.items():
    network(_name, _summary, "Iandola et al. 2016", own=OWN | {"stem_kernel": _form.stem_kernel})(
        partial(squeezenet, _form)
    )
