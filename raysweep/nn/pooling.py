"""Poolings of the CaffeNet study. To add one: a function from a `Window` to a layer under `POOLINGS.add`.

All follow Caffe's rules: the output size is rounded up, and with a border the last window is dropped if it would start
beyond the image and its left border (pooling_layer.cpp). Networks from other frameworks round down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.registry import Registry

GENERAL = "Lee, Gallagher & Tu 2016"


@dataclass(frozen=True)
class Window:
    """A square pooling window: side, stride and border in px, and whether the output size is rounded up."""

    kernel: int = 3
    stride: int = 2
    pad: int = 0
    round_up: bool = True

    def __post_init__(self) -> None:
        if self.kernel < self.stride or self.pad >= self.kernel:
            raise RaysweepError(
                f"a pooling window of {self.kernel} px cannot have a border of {self.pad} px and a stride of "
                f"{self.stride} px: network.pool_kernel must be at least the stride and larger than network.pool_pad."
            )

    def output(self, size: int) -> int:
        """Side of the pooled map, px; 0 if no map is left."""
        if size < 1:
            return 0
        span = size + 2 * self.pad - self.kernel
        if not self.round_up:
            return max(0, span // self.stride + 1)
        count = -(-span // self.stride) + 1
        return max(0, count - 1 if self.pad and (count - 1) * self.stride >= size + self.pad else count)

    def complete(self, x: Tensor) -> Tensor:
        """x padded with zeros so that every window is complete."""
        borders: list[int] = []
        for size in reversed(x.shape[2:]):
            end = (self.output(size) - 1) * self.stride + self.kernel
            borders += [self.pad, end - size - self.pad]
        return F.pad(x, borders)

    def taps(self, x: Tensor) -> list[Tensor]:
        """x (N, C, H, W) -> for each of the kernel^2 positions in a window, its value in all windows, (N, C, h, w)."""
        whole = self.complete(x)
        rows, columns = (range(size - self.kernel + 1)[:: self.stride] for size in whole.shape[2:])
        return [
            whole[:, :, top : top + rows[-1] + 1 : self.stride, left : left + columns[-1] + 1 : self.stride]
            for top, left in product(range(self.kernel), repeat=2)
        ]


Pooling = Callable[[Window], nn.Module]
POOLINGS: Registry[Pooling] = Registry("pooling", "raysweep list poolings")


class Bordered(nn.Module):
    """A pooling on the padded image, for borders of more than half the window, which torch's poolings refuse."""

    def __init__(self, window: Window, pooling: nn.Module, value: float) -> None:
        super().__init__()
        self.window = window
        self.pooling = pooling
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C, h, w)."""
        rows, columns = (self.window.output(size) for size in x.shape[2:])
        pooled: Tensor = self.pooling(F.pad(x, [self.window.pad] * 4, value=self.value))
        return pooled[:, :, :rows, :columns]


def _of_windows(kind: type[nn.MaxPool2d | nn.AvgPool2d], outside: float, window: Window) -> nn.Module:
    if 2 * window.pad > window.kernel:
        return Bordered(window, kind(window.kernel, window.stride, ceil_mode=True), outside)
    return kind(window.kernel, window.stride, window.pad, ceil_mode=window.round_up)


# Border pixels never count for the maximum. Windows that extend beyond the right or lower border average fewer values.
max_pooling = POOLINGS.add("max", "maximum of the window")(partial(_of_windows, nn.MaxPool2d, -torch.inf))
average_pooling = POOLINGS.add("average", "mean over the window, clipped to the image and its border")(
    partial(_of_windows, nn.AvgPool2d, 0.0)
)


class Summed(nn.Module):
    """The plain sum of two layers' outputs."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        """first(x) + second(x)."""
        total: Tensor = self.first(x) + self.second(x)
        return total


POOLINGS.add("max_plus_average", "sum of maximum and mean, not halved", "Mishkin et al. 2017")(
    lambda window: Summed(max_pooling(window), average_pooling(window))
)


@POOLINGS.add("stochastic", "training draws a value by its size, test averages by size", "Zeiler & Fergus 2013")
class StochasticPooling(nn.Module):
    """Training draws one value of each window with probability proportional to it; test returns sum x^2 / sum x.

    For non-negative values, e.g. after ReLU; negative ones have probability 0. An all-zero window gives 0.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C, h, w)."""
        taps = self.window.taps(x.clamp(min=0))
        sums = list(accumulate(tap.detach() for tap in taps))
        if not self.training:
            return torch.stack([tap.square() for tap in taps]).sum(0) / sums[-1].clamp(min=torch.finfo(x.dtype).tiny)
        threshold = torch.rand_like(sums[-1]) * sums[-1]
        # The first value whose running sum exceeds the threshold; rounding must not lead past the last one.
        below = torch.stack([total <= threshold for total in sums[:-1]]).sum(0, dtype=torch.uint8)
        return torch.stack([tap * (below == place) for place, tap in enumerate(taps)]).sum(0)


class Masks(nn.Module):
    """Inner products of every window with learned masks, shared over channels and positions."""

    def __init__(self, window: Window, count: int, start: float) -> None:
        super().__init__()
        self.window = window
        self.weight = nn.Parameter(torch.empty(count, window.kernel**2).normal_(start, 0.01))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (count, N, C, h, w)."""
        channels, kernel = x.shape[1], self.window.kernel
        # A convolution of every channel separately: four times as fast as windows times masks.
        filters = self.weight.view(-1, 1, kernel, kernel).repeat(channels, 1, 1, 1)
        products = F.conv2d(self.window.complete(x), filters, stride=self.window.stride, groups=channels)
        return products.view(x.shape[0], channels, -1, *products.shape[2:]).movedim(2, 0)


@POOLINGS.add("gated", "maximum and average mixed by a learned gate, one mask per layer", GENERAL)
class GatedPooling(nn.Module):
    """s max + (1 - s) average with s = sigmoid(mask . window) (Lee et al. 2016, equation 2)."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.max = max_pooling(window)
        self.average = average_pooling(window)
        self.gate = Masks(window, 1, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C, h, w)."""
        return torch.lerp(self.average(x), self.max(x), self.gate(x)[0].sigmoid())


@POOLINGS.add("tree", "two learned averages mixed by a learned gate, three masks per layer", GENERAL)
class TreePooling(nn.Module):
    """s a.x + (1 - s) b.x with s = sigmoid(gate . x), a tree of two leaves (Lee et al. 2016, equation 4).

    Initially the leaves are near the average of the window and the gate is near a half; the published files do not say.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.leaves = Masks(window, 2, 1 / window.kernel**2)
        self.gate = Masks(window, 1, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C, h, w)."""
        first, second = self.leaves(x)
        return torch.lerp(second, first, self.gate(x)[0].sigmoid())


@POOLINGS.add("strided_conv", "no pooling; CaffeNet's conv2, conv3, conv5 have stride 2", "Springenberg et al. 2015")
@POOLINGS.add("strided_conv_234", "no pooling; CaffeNet's conv2, conv3, conv4 have stride 2", "Mishkin et al. 2017")
def strided_conv(window: Window) -> nn.Module:
    """No layer: the network's convolutions stride instead."""
    return nn.Identity()


def replaces_pooling(name: str) -> bool:
    """Whether strided convolutions replace the pooling."""
    return POOLINGS[name] is strided_conv


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling (He et al. 2014): the map pooled into 1x1, 2x2, ... bins, flattened and concatenated.

    Window and stride are ceil(size / bins) with a symmetric border (Caffe's spp_layer.cpp). If that leaves a bin
    without a pixel, which Caffe refuses, bins overlap instead, as in torch's adaptive pooling.
    """

    def __init__(self, size: int, bins: tuple[int, ...], average: bool = False) -> None:
        super().__init__()
        self.levels = nn.ModuleList([_level(size, count, average) for count in bins])

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C sum bins^2)."""
        return torch.cat([level(x).flatten(1) for level in self.levels], 1)


def _level(size: int, bins: int, average: bool) -> nn.Module:
    kernel = -(-size // bins)
    pad = (kernel * bins - size + 1) // 2
    if pad >= kernel:
        return nn.AdaptiveAvgPool2d(bins) if average else nn.AdaptiveMaxPool2d(bins)
    window = Window(kernel, kernel, pad)
    return average_pooling(window) if average else max_pooling(window)
