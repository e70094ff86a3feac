"""Darknet's reference network (Redmon, pjreddie.com/darknet/imagenet): 3x3 convolutions, each twice as wide.

A 2x2 pooling follows each but the last. If the first layer strides (the benchmark's images), nothing else changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
HIDDEN = 2048
OWN = {"activation": "leaky_relu", "stem_kernel": 3, "stem_stride": 1, "pool_kernel": 2, "head": "avepool_clf"}


@network("darknet", "seven 3x3 convolutions from 16 to 1024 channels", "Redmon 2013-2016", own=BATCH_NORM | OWN)
def darknet(net: NetworkBuilder) -> None:
    """Darknet; a map of one pixel is not pooled any further."""
    net.input()
    for number, width in enumerate(WIDTHS, 1):
        if number == 1:
            net.stem("layer1", net.scaled(width))
        else:
            net.conv(f"layer{number}", net.scaled(width), 3, pad=1)
        if number < len(WIDTHS) and min(net.shape[1:]) > 1:
            net.pool(f"layer{number}_pool")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))
