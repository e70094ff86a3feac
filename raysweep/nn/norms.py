"""Normalisations of a layer's output. To add one: a function from a number of channels to a layer under `NORMS.add`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raysweep.registry import Registry

Norm = Callable[[int], nn.Module]
NORMS: Registry[Norm] = Registry("normalisation", "raysweep list norms")
BATCH_NORM = "Ioffe & Szegedy 2015"
KEPT = 0.95
"""Share of the running sums kept at every batch: `moving_average_fraction` of the published network files."""


class CaffeBatchNorm(nn.Module):
    """Normalises every channel by its mean and variance over the batch, at test by running ones (batch_norm_layer.cpp).

    Caffe accumulates S = 0.95 S + batch and divides by the same sum over ones. That is an average in which the newest
    of t batches has weight 0.05 / (1 - 0.95^t), so it needs no warm-up. Batches are normalised by their own variance;
    the running variance has the factor m / (m - 1).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, current: bool = False) -> None:
        """With `current`, test batches are normalised by their own statistics too.

        One value per channel, as after a fully connected layer for a last test batch of one image, has no variance:
        it is normalised by the running statistics.
        """
        super().__init__()
        self.current = current
        self.batches = 0
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.weight: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> the same shape."""
        newest = 0.0
        if self.training:
            self.batches += 1
            newest = (1 - KEPT) / (1 - KEPT**self.batches)
        averages: tuple[Tensor | None, Tensor | None] = (self.running_mean, self.running_var)
        own = self.current and not self.training and x.numel() > x.shape[1]
        if own:
            averages = (None, None)  # otherwise torch would add test batches to the running averages
        return F.batch_norm(x, *averages, self.weight, self.bias, self.training or own, newest, eps=1e-5)

    def get_extra_state(self) -> dict[str, Any]:
        """The number of batches seen; a plain number, because reading a tensor would wait for the accelerator."""
        return {"batches": self.batches}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the number of batches seen."""
        self.batches = int(state["batches"])


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether an image's result in training depends on the other images of its batch."""
    return any(is_batch_norm(layer) for layer in network.modules())


def is_batch_norm(layer: nn.Module) -> bool:
    """Whether a layer normalises by statistics of the batch and keeps running ones: ours, or one of torch."""
    return isinstance(layer, CaffeBatchNorm | _BatchNorm)


class ScaleLayer(nn.Module):
    """A learned factor and a learned shift per channel; the shift is trained like a weight, not like a bias."""

    def __init__(self, channels: int, factor: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), factor))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> the same shape."""
        per_channel = (-1, *[1] * (x.dim() - 2))
        return x * self.weight.view(per_channel) + self.shift.view(per_channel)


def _affine(channels: int, current: bool = False) -> CaffeBatchNorm:
    norm = CaffeBatchNorm(channels, current)
    norm.weight = nn.Parameter(torch.ones(channels))
    norm.bias = nn.Parameter(torch.full((channels,), 1e-4))  # because of its name it learns by the rule for biases
    return norm


NORMS.add("none", "no normalisation")(lambda channels: nn.Identity())
NORMS.add("batch", "batch normalisation without scale and bias, like Caffe's layer", BATCH_NORM)(CaffeBatchNorm)
NORMS.add("batch_affine", "batch normalisation with a scale (initially 1) and a bias (initially 0.0001)", BATCH_NORM)(
    _affine
)
# The shift has the learning rate and decay of weights, as in the published files that use this layer.
NORMS.add("batch_scale", "batch normalisation with Caffe's later Scale layer (initially 1.0000001 and 0)", BATCH_NORM)(
    lambda channels: nn.Sequential(CaffeBatchNorm(channels), ScaleLayer(channels, 1.0000001))
)
# `use_global_stats: false` in both phases, as in the published files of normalised GoogLeNets.
# The answer for an image then depends on the other images of its batch.
NORMS.add("batch_current", "like batch, using the batch's own statistics at test too", BATCH_NORM)(
    partial(CaffeBatchNorm, current=True)
)
NORMS.add("batch_affine_current", "like batch_affine, using the batch's own statistics at test too", BATCH_NORM)(
    partial(_affine, current=True)
)
