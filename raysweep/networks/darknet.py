"""Darknet's reference network (Redmon, pjreddie.com/darknet/imagenet): 3x3 convolutions, each twice as wide.

A pooling of 2x2 stands between them. Where the first layer strides (the benchmark's images) nothing else changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
HIDDEN = 2048


def darknet(net: NetworkBuilder) -> None:
    """The network; a map of one pixel is not pooled any further.

    Raises:
        InapplicableError: images too small.
    """
    recipe = net.recipe
    net.input()
    for number, width in enumerate(WIDTHS, 1):
        kernel, stride = (recipe.stem_kernel, recipe.stem_stride) if number == 1 else (3, 1)
        net.conv(f"layer{number}", net.scaled(width), kernel, stride, kernel // 2)
        if number < len(WIDTHS) and min(net.shape[1:]) > 1:
            net.pool(f"layer{number}_pool")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


network(
    "darknet",
    "seven 3x3 convolutions from 16 to 1024 channels",
    "Redmon 2013-2016",
    own=BATCH_NORM
    | {"activation": "leaky_relu", "stem_kernel": 3, "stem_stride": 1, "pool_kernel": 2}
    | {"head": "avepool_clf"},
)(darknet)
