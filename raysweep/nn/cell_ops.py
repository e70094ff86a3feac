"""Operations of searched cells, as parts of a network built by a `Builder`.

    layers, shape = Builder(recipe, (36, 32, 32)).part(operation("sep_conv_3x3", "enas", width=36, stride=2))

Papers build the same operations and inputs in different ways. Each way is a `Style`: `slim`, the released NASNet and
AmoebaNet code (tensorflow/models slim `nasnet_utils.py`, tensorflow/tpu amoeba_net `network_utils.py`); `darts`
(quark0/darts `cnn/operations.py`); `enas`, the final network of melodyguan/enas (`micro_child.py`), and `enas_macro`,
its layers (`general_child.py`); `nasbench201` (D-X-Y/AutoDL-Projects). To add an operation, add a function of a
`Builder`, a width and a stride to the table of its style.

The non-linearity comes first. The normalisation comes last if the recipe places it before the non-linearity, otherwise
right after the non-linearity. Padding is symmetric; TensorFlow pads one pixel less at the upper left for a stride of 2
and an even side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.nn.builder import Builder, Kernel, Part

Operation = Callable[[Builder, int, int], None]
"""Adds the operation to the present map, with this output width and stride."""


def pointwise(net: Builder, name: str, width: int, stride: int = 1) -> None:
    """Non-linearity, 1x1 convolution, normalisation."""
    convolve(net, name, width, 1, (stride, stride))


def convolve(net: Builder, name: str, width: int, kernel: Kernel, stride: tuple[int, int], dilation: int = 1) -> None:
    """Non-linearity, convolution with padding that keeps the size (up to the stride), normalisation."""
    net.activate(f"{name}_act")
    net.conv(name, width, kernel, stride, None, dilation=dilation, act=False)


def separable(net: Builder, name: str, width: int, kernel: int, stride: int, dilation: int = 1) -> None:
    """Non-linearity, depthwise convolution, 1x1 convolution, normalisation."""
    channels = net.shape[0]
    net.activate(f"{name}_act")
    net.conv(f"{name}_depthwise", channels, kernel, stride, None, channels, dilation=dilation, act=False, norm=False)
    net.conv(f"{name}_pointwise", width, 1, act=False)


class Shift(nn.Module):
    """Shifts a map by one pixel to the upper left and fills with zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))


def factorised_reduction(net: Builder, width: int) -> None:
    """Halve the size: two 1x1 convolutions with stride 2, the second shifted by a pixel; each makes half of the
    channels.

    For an odd width the second one makes one more; the released code supports only even widths. No non-linearity.
    """

    def shifted(part: Builder) -> None:
        part.add("shift", Shift())
        part.conv("conv", width - width // 2, 1, 2, act=False)

    net.branches("reduction", lambda part: part.conv("conv", width // 2, 1, 2, act=False), shifted)


def _pool(kind: type[nn.MaxPool2d | nn.AvgPool2d], kernel: int, net: Builder, width: int, stride: int) -> None:
    """Pooling, and if the width changes a 1x1 convolution and normalisation. Averages ignore padding."""
    more = {"count_include_pad": False} if kind is nn.AvgPool2d else {}
    channels, *sizes = net.shape
    net.add("pool", kind(kernel, stride, kernel // 2, **more), (channels, *(-(-size // stride) for size in sizes)))
    if channels != width:
        net.conv("fit", width, 1, act=False)


def _separable(times: int, kernel: int, dilation: int, net: Builder, width: int, stride: int) -> None:
    for number in range(times):
        separable(net, f"conv{number + 1}", width, kernel, 1 if number else stride, dilation)


def _slim_identity(net: Builder, width: int, stride: int) -> None:
    if stride > 1 or net.shape[0] != width:
        pointwise(net, "fit", width, stride)


def _darts_identity(net: Builder, width: int, stride: int) -> None:
    if stride > 1:
        net.activate("act")
        factorised_reduction(net, width)


def _enas_identity(net: Builder, width: int, stride: int) -> None:
    if stride > 1:
        factorised_reduction(net, width)


def _bottleneck(share: float, kernel: int, dilation: int, net: Builder, width: int, stride: int) -> None:
    """A convolution at a fraction of the width, between two 1x1 convolutions."""
    narrow = max(1, int(share * width))
    pointwise(net, "narrow", narrow)
    convolve(net, "conv", narrow, kernel, (stride, stride), dilation)
    pointwise(net, "widen", width)


def _crossed_bottleneck(share: float, length: int, net: Builder, width: int, stride: int) -> None:
    """As `_bottleneck`, with a 1xN and then an Nx1 convolution, each with the stride along its length."""
    narrow = max(1, int(share * width))
    pointwise(net, "narrow", narrow)
    convolve(net, "row", narrow, (1, length), (1, stride))
    convolve(net, "column", narrow, (length, 1), (stride, 1))
    pointwise(net, "widen", width)


def _darts_crossed(net: Builder, width: int, stride: int) -> None:
    """A 1x7 and a 7x1 convolution, with nothing between them."""
    net.activate("act")
    net.conv("row", width, (1, 7), (1, stride), None, act=False, norm=False)
    net.conv("column", width, (7, 1), (stride, 1), None, act=False)


class Nothing(nn.Module):
    """Returns zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return torch.zeros_like(x)


def _conv(kernel: int, net: Builder, width: int, stride: int) -> None:
    convolve(net, "conv", width, kernel, (stride, stride))


def _projected(adds: Operation, net: Builder, width: int, stride: int) -> None:
    """A 1x1 convolution, then the operation."""
    pointwise(net, "project", width)
    adds(net, width, stride)


def _activated_pool(kind: type[nn.MaxPool2d | nn.AvgPool2d], net: Builder, width: int, stride: int) -> None:
    net.activate("act")
    _pool(kind, 3, net, width, stride)


POOLS: Mapping[str, Operation] = {
    "avg_pool_3x3": partial(_pool, nn.AvgPool2d, 3),
    **{f"max_pool_{kernel}x{kernel}": partial(_pool, nn.MaxPool2d, kernel) for kernel in (3, 5, 7)},
}
SEPARABLE: Mapping[str, Operation] = {
    f"sep_conv_{kernel}x{kernel}": partial(_separable, 2, kernel, 1) for kernel in (3, 5, 7)
}
SLIM: Mapping[str, Operation] = {
    **POOLS,
    **SEPARABLE,
    "identity": _slim_identity,
    "dil_sep_conv_3x3": partial(_separable, 2, 3, 2),
    "conv_1x1": partial(_conv, 1),
    "conv_3x3": partial(_bottleneck, 1 / 4, 3, 1),
    "dil_conv_3x3": partial(_bottleneck, 1 / 4, 3, 2),
    "conv_1x3_3x1": partial(_crossed_bottleneck, 3 / 8, 3),
    "conv_1x7_7x1": partial(_crossed_bottleneck, 1 / 4, 7),
}
DARTS: Mapping[str, Operation] = {
    **POOLS,
    **SEPARABLE,
    "identity": _darts_identity,
    **{f"dil_sep_conv_{kernel}x{kernel}": partial(_separable, 1, kernel, 2) for kernel in (3, 5)},
    "conv_1x7_7x1": _darts_crossed,
}
ENAS: Mapping[str, Operation] = {**POOLS, **SEPARABLE, "identity": _enas_identity}
ENAS_MACRO: Mapping[str, Operation] = {
    **{f"conv_{kernel}x{kernel}": partial(_projected, partial(_conv, kernel)) for kernel in (3, 5)},
    **{f"sep_conv_{kernel}x{kernel}": partial(_projected, partial(_separable, 1, kernel, 1)) for kernel in (3, 5)},
    "avg_pool_3x3": partial(_projected, partial(_activated_pool, nn.AvgPool2d)),
    "max_pool_3x3": partial(_projected, partial(_activated_pool, nn.MaxPool2d)),
}
NASBENCH201: Mapping[str, Operation] = {
    "none": lambda net, width, stride: net.add("nothing", Nothing()),
    "skip_connect": lambda net, width, stride: None,
    "nor_conv_1x1": partial(_conv, 1),
    "nor_conv_3x3": partial(_conv, 3),
    "avg_pool_3x3": POOLS["avg_pool_3x3"],
}


@dataclass(frozen=True)
class Style:
    """A way to build cells: the operations, and how outputs of earlier cells become states 0 and 1."""

    operations: Mapping[str, Operation]
    always_fitted: bool = True
    """Apply a 1x1 convolution to state 0 even if it has the right width."""
    first_fitted: bool = True
    """The same in the first cell, whose two inputs are the same map."""
    newer_twice: bool = False
    """Apply a 1x1 convolution to state 1 if its width differs, in addition to the usual one."""
    drops_identity: bool = False
    """Apply drop-path to identities with a stride."""


STYLES: Mapping[str, Style] = {
    "slim": Style(SLIM, always_fitted=False, first_fitted=False),
    "darts": Style(DARTS, drops_identity=True),
    "enas": Style(ENAS, always_fitted=False, newer_twice=True),
    "enas_macro": Style(ENAS_MACRO),
    "nasbench201": Style(NASBENCH201),
}
"""Styles by name."""


def operation(name: str, style: str, width: int, stride: int = 1) -> Part[Builder]:
    """An operation from the present map to `width` channels, as a part of a network.

    Stride 2 halves the size, rounded up. With stride 1 and the same width, an identity adds no layer.

    Raises:
        RaysweepError: the style does not have the operation.
    """
    known = STYLES[style].operations
    if name not in known:
        raise RaysweepError(
            f"operation {name!r} does not exist in networks of style {style}.{did_you_mean(name, known)}"
        )
    add = known[name]
    return lambda net: add(net, width, stride)


def fit_older(net: Builder, style: str, width: int, newer: tuple[int, ...]) -> None:
    """Add state 0, made from the older of the two preceding outputs; the newer one has the shape `newer`."""
    if net.shape[1:] != newer[1:]:
        net.activate("act")
        factorised_reduction(net, width)
    elif STYLES[style].always_fitted or net.shape[0] != width:
        pointwise(net, "fit", width)


def fit_newer(net: Builder, style: str, width: int) -> None:
    """Add state 1, made from the last output."""
    if STYLES[style].newer_twice and net.shape[0] != width:
        pointwise(net, "calibrate", width)
    pointwise(net, "fit", width)
