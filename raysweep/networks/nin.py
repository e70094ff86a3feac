"""Network in network (Lin et al. 2014): each convolution is followed by 1x1 ones; no fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 2048


@dataclass(frozen=True)
class Stage:
    """A convolution and the 1x1 convolutions after it. Kernel and stride of the first one are the recipe's."""

    width: int
    kernel: int
    pad: int
    across: tuple[int, ...]
    """Widths of the 1x1 convolutions."""


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks for ImageNet and CIFAR differ."""

    stages: tuple[Stage, ...]
    poolings: tuple[str | None, ...]
    """Kind of each pooling between stages; None: the recipe's."""
    dropout_at_every_pooling: bool


def nin(form: Form, net: NetworkBuilder) -> None:
    """NiN. The last 1x1 convolution of the last stage is the head's classifier."""
    net.input()
    for number, stage in enumerate(form.stages, 1):
        if number == 1:  # a first layer that does not stride keeps the size of the map
            net.stem("conv1", net.scaled(stage.width), None if net.recipe.stem_stride == 1 else stage.pad)
        else:
            net.conv(f"conv{number}", net.scaled(stage.width), stage.kernel, pad=stage.pad)
        for part, width in enumerate(stage.across, 1):
            net.conv(f"cccp{number}_{part}", net.scaled(width), 1)
        if number < len(form.stages):
            net.pool(f"pool{number}", kind=form.poolings[number - 1])
            if form.dropout_at_every_pooling:
                net.dropout(f"drop{number}", net.recipe.dropout)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


IMAGENET = Form(
    tuple(
        Stage(width, kernel, pad, (width,) * count)
        for width, kernel, pad, count in ((96, 11, 0, 2), (256, 5, 2, 2), (384, 3, 1, 2), (1024, 3, 1, 1))
    ),
    poolings=(None, None, None),
    dropout_at_every_pooling=False,
)
CIFAR = Form(
    (Stage(192, 5, 2, (160, 96)), Stage(192, 5, 2, (192, 192)), Stage(192, 3, 1, (192,))),
    poolings=(None, "average"),
    dropout_at_every_pooling=True,
)
OWN: dict[str, Any] = {"head": "clf_act_avepool"}
OWN_CIFAR: dict[str, Any] = OWN | {"stem_kernel": 5, "stem_stride": 1}
for _name, _words, _form, _native in (
    ("nin", "four", IMAGENET, {"own": OWN}),
    ("nin_cifar", "three", CIFAR, {"side": 32, "classes": 10, "own": OWN_CIFAR}),
):
    _summary = f"{_words} stages, each a convolution followed by 1x1 convolutions"
    network(_name, _summary, "Lin et al. 2014", **_native)(partial(nin, _form))
