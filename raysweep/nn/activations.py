"""Non-linearities. To add one: a function of a tensor under `@pointwise`, or of a shape under `@module`.

A shape is the shape of one image's activations: (channels, height, width), or (units,) after a fully connected layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.registry import Registry

Shape = tuple[int, ...]
BENCHMARK = "Mishkin et al. 2017"
LN_2 = 0.693147  # as the published network file writes it


@dataclass(frozen=True)
class Activation:
    """How to build a non-linearity for a shape, and the number of parallel layers whose outputs it takes."""

    build: Callable[[Shape], nn.Module]
    pieces: int = 1


ACTIVATIONS: Registry[Activation] = Registry("activation", "raysweep list activations")


class Pointwise(nn.Module):
    """A function of a tensor as a layer."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name = name
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function applied to x, same shape."""
        return self.function(x)

    def extra_repr(self) -> str:
        """The registered name."""
        return self.name


def pointwise(
    name: str, summary: str, paper: str = BENCHMARK
) -> Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]:
    """Register a function of one tensor."""

    def register(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        ACTIVATIONS.add(name, summary, paper)(Activation(lambda shape: Pointwise(name, function)))
        return function

    return register


def module(
    name: str, summary: str, paper: str = BENCHMARK, *, pieces: int = 1
) -> Callable[[Callable[[Shape], nn.Module]], Callable[[Shape], nn.Module]]:
    """Register a function from a shape to a layer; with `pieces` > 1 the layer takes that many tensors."""

    def register(build: Callable[[Shape], nn.Module]) -> Callable[[Shape], nn.Module]:
        ACTIVATIONS.add(name, summary, paper)(Activation(build, pieces))
        return build

    return register


pointwise("linear", "no non-linearity")(lambda x: x)
# Not in place, since a skip may need x unchanged; training stores only the result either way.
pointwise("relu", "max(x, 0)", "Nair & Hinton 2010")(F.relu)
pointwise("sigmoid", "1 / (1 + exp(-x))")(torch.sigmoid)
pointwise("tanh", "tanh(x)")(torch.tanh)
pointwise("scaled_tanh", "1.759 tanh(0.6667 x), as the published file misprints LeCun's 1.7159", "LeCun et al. 1998")(
    lambda x: 1.759 * torch.tanh(0.6667 * x)
)
pointwise("arcsinh", "ln(x + sqrt(x^2 + 1))")(torch.asinh)
pointwise("softplus_shifted", "ln(1 + exp(x)) - ln 2 (0 at x = 0)")(lambda x: F.softplus(x) - LN_2)
pointwise("leaky_relu", "x, or 0.1 x below 0", "Maas et al. 2013; Redmon 2013-2016")(lambda x: F.leaky_relu(x, 0.1))
pointwise("vlrelu", "x, or 0.3 x below 0: very leaky ReLU", "Maas et al. 2013; Graham 2014")(
    lambda x: F.leaky_relu(x, 0.3)
)
pointwise("elu", "x, or exp(x) - 1 below 0", "Clevert et al. 2016")(F.elu)
pointwise("elu_alpha05", "x, or (exp(x) - 1) / 2 below 0", "Clevert et al. 2016")(lambda x: F.elu(x, alpha=0.5))
pointwise("elu_lrelu_mean", "mean of ELU and leaky ReLU with slope 0.05")(
    lambda x: 0.5 * (F.elu(x) + F.leaky_relu(x, 0.05))
)
# The constants of the published network file.
pointwise("selu", "1.0507 times ELU with alpha 1.67326", "Klambauer et al. 2017")(
    lambda x: 1.0507 * F.elu(x, alpha=1.67326)
)
pointwise("gelu", "x times the standard normal distribution function of x", "Hendrycks & Gimpel 2016")(F.gelu)
pointwise("silu", "x times its sigmoid", "Elfwing et al. 2018; Ramachandran et al. 2017")(F.silu)
pointwise("hardswish", "x times its sigmoid made of three lines", "Howard et al. 2019")(F.hardswish)


@pointwise("oplu", "adjacent channels sorted in pairs, larger first", "Chernodub & Nowicki 2016")
def oplu(x: Tensor) -> Tensor:
    """Channels 2k and 2k+1 become their maximum and their minimum; an unpaired last channel is left unchanged."""
    paired = x.shape[1] // 2 * 2
    first, second = x[:, 0:paired:2], x[:, 1:paired:2]
    sorted_pairs = torch.stack((torch.maximum(first, second), torch.minimum(first, second)), dim=2).flatten(1, 2)
    return torch.cat((sorted_pairs, x[:, paired:]), dim=1)


class ChannelBias(nn.Module):
    """Adds a learned bias per channel; because of its name it learns by the solver's rule for biases."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) plus the bias of each channel."""
        return x + self.bias.view(-1, *[1] * (x.dim() - 2))


class Maxout(nn.Module):
    """Element-wise maximum of parallel layers (Goodfellow et al. 2013)."""

    def forward(self, *pieces: Tensor) -> Tensor:
        """The maximum over the pieces, which have the same shape."""
        return reduce(torch.maximum, pieces)


class AdaptivePiecewiseLinear(nn.Module):
    """max(0, x) + sum_s a_s max(0, b_s - x), with a and b learned for every unit position.

    Agostinelli et al. 2015, equation 1. Initially a is uniform in (-0.5, 0.5) and b is normal with standard deviation
    0.5, as in the published network files.
    """

    def __init__(self, shape: Shape, hinges: int) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.empty(hinges, *shape).uniform_(-0.5, 0.5))
        self.offsets = nn.Parameter(torch.empty(hinges, *shape).normal_(0.0, 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, *shape) -> the same shape."""
        total = F.relu(x)
        for slope, offset in zip(self.slopes, self.offsets, strict=True):
            total = total + slope * F.relu(offset - x)
        return total


module("rrelu", "leaky ReLU with a random slope U(0.1, 0.5) per unit in training, 0.3 at test", "Xu et al. 2015")(
    lambda shape: nn.RReLU(0.1, 0.5)
)
module("prelu", "leaky ReLU with a learned slope per channel, initially 0.3", "He et al. 2015")(
    lambda shape: nn.PReLU(shape[0], init=0.3)
)
module("frelu", "ReLU plus a learned bias per channel, initially -0.2", "Qiu et al. 2017")(
    lambda shape: nn.Sequential(Pointwise("relu", F.relu), ChannelBias(shape[0], -0.2))
)
module("felu", "ELU plus a learned bias per channel, initially -0.1", "Qiu et al. 2017")(
    lambda shape: nn.Sequential(Pointwise("elu", F.elu), ChannelBias(shape[0], -0.1))
)
for _name, _pieces, _words in (("maxout", 2, "two"), ("maxout5", 5, "five")):
    module(_name, f"maximum of {_words} parallel layers", "Goodfellow et al. 2013", pieces=_pieces)(
        lambda shape: Maxout()
    )
for _hinges in (2, 5):
    module(f"apl{_hinges}", f"ReLU plus {_hinges} learned hinges per unit position", "Agostinelli et al. 2015")(
        partial(AdaptivePiecewiseLinear, hinges=_hinges)
    )
