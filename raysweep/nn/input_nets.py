"""What stands between the image and the first layer: nothing, a normalisation, or a learned colour space.

To add one: a function from a number of channels to a layer and its number of channels under `INPUT_NETS.add`. The
learned colour spaces are those of the authors' study: 1x1 convolutions, a non-linearity after both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raysweep.nn.activations import Maxout
from raysweep.nn.norms import CaffeBatchNorm, uses_batch_statistics
from raysweep.registry import Registry

PAPER = "Mishkin et al. 2017"


@dataclass(frozen=True)
class InputNet:
    """The layer, the channels it gives, and whether it uses the statistics of the batch."""

    layer: nn.Module
    channels: int

    @property
    def batch_statistics(self) -> bool:
        """Whether an image's result depends on the other images of its batch."""
        return uses_batch_statistics(self.layer)


Build = Callable[[int], InputNet]
INPUT_NETS: Registry[Build] = Registry("input net", "raysweep list input_nets")


@INPUT_NETS.add("none", "the image as it is")
def none(channels: int) -> InputNet:
    """Nothing."""
    return InputNet(nn.Identity(), channels)


@INPUT_NETS.add("batch_norm", "batch normalisation of the pixels, without scale and bias", PAPER)
def batch_norm(channels: int) -> InputNet:
    """For images that are neither centred nor scaled."""
    return InputNet(CaffeBatchNorm(channels), channels)


@INPUT_NETS.add("grayscale", "a learned mix of the channels into one, with a bias", PAPER)
def grayscale(channels: int) -> InputNet:
    """1x1 convolution to one channel, no non-linearity."""
    return InputNet(nn.Conv2d(channels, 1, 1), 1)


def _two_layers(inputs: int, hidden: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, hidden, 1), activation(), nn.Conv2d(hidden, 3, 1), activation())


def _vlrelu() -> nn.Module:
    return nn.LeakyReLU(0.5)


@INPUT_NETS.add("tanh_10_3", "A: learned colour space of 10 and 3 units, tanh", PAPER)
def tanh_10_3(channels: int) -> InputNet:
    """A of the authors' table."""
    return InputNet(_two_layers(channels, 10, nn.Tanh), 3)


@INPUT_NETS.add("vlrelu_3_3", "B: learned colour space of 3 and 3 units, leaky ReLU of slope 0.5", PAPER)
def vlrelu_3_3(channels: int) -> InputNet:
    """B of the authors' table."""
    return InputNet(_two_layers(channels, 3, _vlrelu), 3)


class Residual(nn.Module):
    """activation(x + layers(x))."""

    def __init__(self, layers: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        result: Tensor = self.activation(x + self.layers(x))
        return result


@INPUT_NETS.add("vlrelu_10_3_plus_rgb", "C: as F, plus the image, before the last non-linearity", PAPER)
def vlrelu_10_3_plus_rgb(channels: int) -> InputNet:
    """C of the authors' table."""
    layers = nn.Sequential(nn.Conv2d(channels, 10, 1), _vlrelu(), nn.Conv2d(10, channels, 1))
    return InputNet(Residual(layers, _vlrelu()), channels)


class WithLogarithms(nn.Module):
    """Grey levels 0..255 and their logarithms as further channels: x, ln(x + 1), and ln(256 - x) if wanted."""

    def __init__(self, from_above: bool) -> None:
        super().__init__()
        self.from_above = from_above

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, 2 C or 3 C, H, W)."""
        above = [torch.log(256 - x)] if self.from_above else []
        return torch.cat([x, torch.log1p(x), *above], 1)


def _logarithms(channels: int, from_above: bool) -> InputNet:
    wide = channels * (3 if from_above else 2)
    layers = _two_layers(wide, 10, _vlrelu)
    return InputNet(nn.Sequential(WithLogarithms(from_above), CaffeBatchNorm(wide), *layers), 3)


@INPUT_NETS.add("vlrelu_log_10_3", "D: as F on raw pixels and their logarithms, normalised", PAPER)
def vlrelu_log_10_3(channels: int) -> InputNet:
    """D of the authors' table; takes grey levels that are neither centred nor scaled."""
    return _logarithms(channels, from_above=False)


@INPUT_NETS.add("vlrelu_log_log256_10_3", "as D, with the logarithm from above too", PAPER)
def vlrelu_log_log256_10_3(channels: int) -> InputNet:
    """As D, plus ln(256 - x)."""
    return _logarithms(channels, from_above=True)


@INPUT_NETS.add("vlrelu_16_3", "E: learned colour space of 16 and 3 units, leaky ReLU of slope 0.5", PAPER)
def vlrelu_16_3(channels: int) -> InputNet:
    """E of the authors' table."""
    return InputNet(_two_layers(channels, 16, _vlrelu), 3)


@INPUT_NETS.add("vlrelu_10_3", "F: learned colour space of 10 and 3 units, leaky ReLU of slope 0.5", PAPER)
def vlrelu_10_3(channels: int) -> InputNet:
    """F of the authors' table."""
    return InputNet(_two_layers(channels, 10, _vlrelu), 3)


class HalvesMaxout(nn.Module):
    """Maximum of the first and the second half of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 2 C, H, W) -> (N, C, H, W)."""
        result: Tensor = Maxout()(*x.chunk(2, 1))
        return result


@INPUT_NETS.add("maxout_10_3", "learned colour space of 10 and 3 two-piece maxout units", PAPER)
def maxout_10_3(channels: int) -> InputNet:
    """20 channels to 10, then 6 to 3."""
    layers = nn.Sequential(nn.Conv2d(channels, 20, 1), HalvesMaxout(), nn.Conv2d(10, 6, 1), HalvesMaxout())
    return InputNet(layers, 3)
