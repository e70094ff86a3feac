"""Darknet's reference network (Redmon, pjreddie.com/darknet/imagenet): 3x3 convolutions, each twice as wide.

A 2x2 pooling follows each but the last. If the first layer strides (the benchmark's images), nothing else changes. In
the benchmark's form the first layer has no border, normalisation has neither scale nor bias and comes after each
pooling, and the classifier sees the whole last map.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
HIDDEN = 2048


def darknet(first_pad: int, net: NetworkBuilder) -> None:
    """Darknet; a map of one pixel is not pooled any further."""
    net.input()
    for number, width in enumerate(WIDTHS, 1):
        if number == 1:
            net.stem("layer1", net.scaled(width), None if first_pad else 0)
        else:
            net.conv(f"layer{number}", net.scaled(width), 3, pad=1)
        if number < len(WIDTHS) and min(net.shape[1:]) > 1:
            net.pool(f"layer{number}_pool")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


STEM: dict[str, Any] = {"stem_kernel": 3, "stem_stride": 1, "pool_kernel": 2}
ORIGINAL = STEM | BATCH_NORM | {"activation": "leaky_relu", "head": "avepool_clf"}
BENCHMARK = STEM | {"activation": "prelu", "norm": "batch", "head": "clf", "dropout": 0.2}
BENCHMARK |= {"norm_after_pools": tuple(range(1, len(WIDTHS)))}
network("darknet", "seven 3x3 convolutions from 16 to 1024 channels", "Redmon 2013-2016", own=ORIGINAL)(
    partial(darknet, 1)
)
network(
    "darknet128",
    "darknet with PReLU, normalised after the poolings",
    "Mishkin et al. 2017, repository",
    side=128,
    own=BENCHMARK,
    factors=["norm_after_pools"],
)(partial(darknet, 0))
