"""Layers between the image and the first convolution: nothing, a normalisation, or a learned colour space.

To add one: a function from the number of input channels to an `InputNet`, under `INPUT_NETS.add`. The learned colour
spaces are those of the authors' study, lettered as in their table: two 1x1 convolutions, each with a non-linearity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from raysweep.nn.activations import Maxout
from raysweep.nn.norms import CaffeBatchNorm, uses_batch_statistics
from raysweep.registry import Registry

PAPER = "Mishkin et al. 2017"


@dataclass(frozen=True)
class InputNet:
    """A layer on the image, and the number of channels of its output."""

    layer: nn.Module
    channels: int

    @property
    def batch_statistics(self) -> bool:
        """Whether an image's result depends on the other images of its batch."""
        return uses_batch_statistics(self.layer)


Build = Callable[[int], InputNet]
INPUT_NETS: Registry[Build] = Registry("input net", "raysweep list input_nets")


INPUT_NETS.add("none", "the image unchanged")(lambda channels: InputNet(nn.Identity(), channels))
# For pixels that are neither centred nor scaled.
INPUT_NETS.add("batch_norm", "batch normalisation of the pixels, without scale and bias", PAPER)(
    lambda channels: InputNet(CaffeBatchNorm(channels), channels)
)
INPUT_NETS.add("grayscale", "a learned mix of the channels into one, with a bias", PAPER)(
    lambda channels: InputNet(nn.Conv2d(channels, 1, 1), 1)
)


def _two_layers(inputs: int, hidden: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, hidden, 1), activation(), nn.Conv2d(hidden, 3, 1), activation())


def _vlrelu() -> nn.Module:
    return nn.LeakyReLU(0.5)


def learned_colour_space(hidden: int, activation: Callable[[], nn.Module], channels: int) -> InputNet:
    """1x1 convolutions to `hidden` and to 3 channels, each with the non-linearity."""
    return InputNet(_two_layers(channels, hidden, activation), 3)


for _letter, _name, _hidden, _activation, _words in (
    ("A", "tanh_10_3", 10, nn.Tanh, "tanh"),
    ("B", "vlrelu_3_3", 3, _vlrelu, "leaky ReLU with slope 0.5"),
    ("E", "vlrelu_16_3", 16, _vlrelu, "leaky ReLU with slope 0.5"),
    ("F", "vlrelu_10_3", 10, _vlrelu, "leaky ReLU with slope 0.5"),
):
    INPUT_NETS.add(_name, f"{_letter}: learned colour space of {_hidden} and 3 units, {_words}", PAPER)(
        partial(learned_colour_space, _hidden, _activation)
    )


class Residual(nn.Module):
    """activation(x + layers(x))."""

    def __init__(self, layers: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """The shape is unchanged."""
        result: Tensor = self.activation(x + self.layers(x))
        return result


@INPUT_NETS.add("vlrelu_10_3_plus_rgb", "C: like F, with the image added before the last non-linearity", PAPER)
def vlrelu_10_3_plus_rgb(channels: int) -> InputNet:
    """The image plus two 1x1 convolutions."""
    layers = nn.Sequential(nn.Conv2d(channels, 10, 1), _vlrelu(), nn.Conv2d(10, channels, 1))
    return InputNet(Residual(layers, _vlrelu()), channels)


class WithLogarithms(nn.Module):
    """Grey levels 0..255 and their logarithms as further channels: x, ln(x + 1), and on request ln(256 - x)."""

    def __init__(self, from_above: bool) -> None:
        super().__init__()
        self.from_above = from_above

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, 2 C or 3 C, H, W)."""
        above = [torch.log(256 - x)] if self.from_above else []
        return torch.cat([x, torch.log1p(x), *above], 1)


def _logarithms(from_above: bool, channels: int) -> InputNet:
    wide = channels * (3 if from_above else 2)
    layers = _two_layers(wide, 10, _vlrelu)
    return InputNet(nn.Sequential(WithLogarithms(from_above), CaffeBatchNorm(wide), *layers), 3)


INPUT_NETS.add("vlrelu_log_10_3", "D: like F, on raw pixels and their logarithms, batch-normalised", PAPER)(
    partial(_logarithms, False)
)
INPUT_NETS.add("vlrelu_log_log256_10_3", "like D, with ln(256 - x) as well", PAPER)(partial(_logarithms, True))


class HalvesMaxout(nn.Module):
    """Maximum of the first and the second half of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 2 C, H, W) -> (N, C, H, W)."""
        result: Tensor = Maxout()(*x.chunk(2, 1))
        return result


@INPUT_NETS.add("maxout_10_3", "learned colour space of 10 and 3 two-piece maxout units", PAPER)
def maxout_10_3(channels: int) -> InputNet:
    """Convolutions to 20 and 6 channels, halved to 10 and 3 by maxout."""
    layers = nn.Sequential(nn.Conv2d(channels, 20, 1), HalvesMaxout(), nn.Conv2d(10, 6, 1), HalvesMaxout())
    return InputNet(layers, 3)
