"""Network in network (Lin et al. 2014): convolutions each followed by two of 1x1, and no fully connected layer."""

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
    """A convolution and the two 1x1 convolutions after it."""

    width: int
    kernel: int
    pad: int
    across: tuple[int, ...]
    """Widths of the 1x1 convolutions."""


@dataclass(frozen=True)
class Form:
    """What tells the network for ImageNet from that for CIFAR."""

    stages: tuple[Stage, ...]
    poolings: tuple[str | None, ...]
    """Kind of the pooling between stages; none: as the recipe says."""
    dropout_at_every_pooling: bool
    pool_pad: int = 0


def nin(form: Form, net: NetworkBuilder) -> None:
    """NiN. The last 1x1 convolution of the last stage is the head's classifier.

    Raises:
        InapplicableError: images too small.
    """
    recipe = net.recipe
    net.input()
    for number, stage in enumerate(form.stages, 1):
        kernel, stride = (recipe.stem_kernel, recipe.stem_stride) if number == 1 else (stage.kernel, 1)
        # Small images: a first layer that does not stride keeps the size of the map.
        pad = kernel // 2 if number == 1 and stride == 1 else stage.pad
        net.conv(f"conv{number}", net.scaled(stage.width), kernel, stride, pad)
        for part, width in enumerate(stage.across, 1):
            net.conv(f"cccp{number}_{part}", net.scaled(width), 1)
        if number < len(form.stages):
            net.pool(f"pool{number}", kind=form.poolings[number - 1])
            if form.dropout_at_every_pooling:
                net.dropout(f"drop{number}", recipe.dropout)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


IMAGENET = Form(
    (
        Stage(96, 11, 0, (96, 96)),
        Stage(256, 5, 2, (256, 256)),
        Stage(384, 3, 1, (384, 384)),
        Stage(1024, 3, 1, (1024,)),
    ),
    poolings=(None, None, None),
    dropout_at_every_pooling=False,
)
CIFAR = Form(
    (Stage(192, 5, 2, (160, 96)), Stage(192, 5, 2, (192, 192)), Stage(192, 3, 1, (192,))),
    poolings=(None, "average"),
    dropout_at_every_pooling=True,
)
HEAD: dict[str, Any] = {"head": "clf_act_avepool"}
network("nin", "four stages of a convolution and two 1x1 convolutions", "Lin et al. 2014", own=HEAD)(
    partial(nin, IMAGENET)
)
network(
    "nin_cifar",
    "three stages of a convolution and two 1x1 convolutions",
    "Lin et al. 2014",
    side=32,
    classes=10,
    own=HEAD | {"stem_kernel": 5, "stem_stride": 1},
)(partial(nin, CIFAR))
