"""Xception (Chollet 2017, figure 5): depthwise separable convolutions with skips; 299 px.

A pooling that halves an odd map has its border on both sides; Keras pads at the end only. If the first convolution does
not stride (small images), both convolutions of the stem have borders.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network
from raysweep.networks.resnet import BATCH_NORM

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

ENTRY = ((128, 128), (256, 256), (728, 728))
"""Widths of the two separable convolutions of each block, which a pooling follows."""
MIDDLE, MIDDLE_BLOCKS = (728, 728, 728), 8
EXIT = (728, 1024)
LAST = (1536, 2048)
HIDDEN = 2048


def _separable(net: NetworkBuilder, name: str, width: int, act: bool) -> None:
    """3x3 in each channel, then 1x1 over all channels, with nothing in between (section 3 of the paper)."""
    channels = net.shape[0]
    net.conv(f"{name}_depthwise", channels, 3, pad=1, groups=channels, act=False, norm=False)
    net.conv(f"{name}_pointwise", net.scaled(width), 1, act=act)


def _body(net: NetworkBuilder, widths: tuple[int, ...], starts_activated: bool, pools: bool) -> None:
    """Separable convolutions with non-linearities between them, and in front unless the map is already activated."""
    if not starts_activated:
        net.activate("act")
    for number, width in enumerate(widths, 1):
        _separable(net, f"conv{number}", width, act=number < len(widths))
    if pools:
        net.pool("pool", kernel=3, pad=1, round_up=False)


def _halving(net: NetworkBuilder, name: str, widths: tuple[int, int], starts_activated: bool = False) -> None:
    channels = net.scaled(widths[-1])
    net.residual(
        name,
        partial(_body, widths=widths, starts_activated=starts_activated, pools=True),
        lambda part: part.conv("project", channels, 1, 2, act=False),
    )


OWN = BATCH_NORM | {"stem_kernel": 3, "stem_stride": 2, "head": "avepool_clf"}


@network("xception", "separable convolutions with skips", "Chollet 2017", side=299, own=OWN)
def xception(net: NetworkBuilder) -> None:
    """The network."""
    strides = net.recipe.stem_stride > 1
    net.input()
    net.stem("conv1", net.scaled(32), pad=0 if strides else None)
    net.conv("conv2", net.scaled(64), 3, pad=0 if strides else 1)
    for number, widths in enumerate(ENTRY, 1):
        _halving(net, f"entry{number}", widths, starts_activated=number == 1)
    for number in range(1, MIDDLE_BLOCKS + 1):
        net.residual(f"middle{number}", partial(_body, widths=MIDDLE, starts_activated=False, pools=False))
    _halving(net, "exit", EXIT)
    for number, width in enumerate(LAST, 1):
        _separable(net, f"last{number}", width, act=True)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))
