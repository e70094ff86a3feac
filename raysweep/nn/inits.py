"""Initial weights. Biases start at 0; layers other than convolutions and fully connected ones keep their own start.

LSUV (Mishkin & Matas 2016, "All you need is a good init") starts from orthonormal weights. Then, layer by layer,
classifier included, it divides the weights by the standard deviation of the layer's output over a batch, taken before
the non-linearity.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from raysweep.nn.blocks import StochasticDepth
from raysweep.registry import Registry

Init = Callable[[nn.Module, Tensor, torch.Generator], None]
INITS: Registry[Init] = Registry("initialisation", "raysweep list inits")


def weighted_layers(network: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The convolutions and fully connected layers, in the order in which they were added."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            yield layer


def _drawn(fill: Callable[[Tensor, torch.Generator], object]) -> Init:
    """The initialisation whose weights are filled by a function, and whose biases are 0."""

    @torch.no_grad()
    def init(network: nn.Module, images: Tensor, generator: torch.Generator) -> None:
        for layer in weighted_layers(network):
            # Drawn on the CPU in the default layout: the same weights on every device and in every memory format.
            weight = torch.empty(layer.weight.shape)
            fill(weight, generator)
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.zero_()

    return init


def fan_in(weight: Tensor) -> int:
    """Number of inputs of one output, as Caffe counts them: in a grouped convolution those of its own group."""
    return weight[0].numel()


def _xavier(weight: Tensor, generator: torch.Generator) -> Tensor:
    # filler.hpp, XavierFiller with its default norm.
    bound = math.sqrt(3 / fan_in(weight))
    return weight.uniform_(-bound, bound, generator=generator)


def _orthonormal(weight: Tensor, generator: torch.Generator) -> Tensor:
    # W W^T = I, or W^T W = I if outputs outnumber inputs; a grouped convolution counts as one matrix.
    nn.init.orthogonal_(weight, generator=generator)
    return weight


def _orthonormal_he(weight: Tensor, generator: torch.Generator) -> Tensor:
    # The mean square becomes 2 / fan in. There is no published file: this scale is our reading.
    _orthonormal(weight, generator)
    return weight.mul_(math.sqrt(2 / fan_in(weight) / weight.square().mean().item()))


gaussian = INITS.add("gaussian", "normal with standard deviation 0.01", "Krizhevsky et al. 2012")(
    _drawn(lambda weight, generator: weight.normal_(0.0, 0.01, generator=generator))
)
INITS.add("glorot", "uniform with variance 2 / (fan in + fan out)", "Glorot & Bengio 2010")(
    _drawn(lambda weight, generator: nn.init.xavier_uniform_(weight, generator=generator))  # equation 16 of the paper
)
INITS.add("xavier", "uniform with variance 1 / fan in: Caffe's filler of that name", "Glorot & Bengio 2010")(
    _drawn(_xavier)
)
INITS.add("he", "normal with variance 2 / fan in: Caffe's msra filler", "He et al. 2015")(
    _drawn(lambda weight, generator: weight.normal_(0.0, math.sqrt(2 / fan_in(weight)), generator=generator))
)
INITS.add("orthonormal_he", "orthonormal rows scaled to the variance of he", "Mishkin & Matas 2016")(
    _drawn(_orthonormal_he)
)
orthonormal = INITS.add("orthonormal", "orthonormal rows of the (outputs, rest) matrix", "Saxe et al. 2014")(
    _drawn(_orthonormal)
)


@INITS.add("lsuv", "orthonormal, then scaled to unit variance of every layer's output", "Mishkin & Matas 2016")
def lsuv(network: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    """Orthonormal weights scaled to unit output variance."""
    orthonormal(network, images, generator)
    unit_variance(network, images)


@INITS.add("lsuv_gaussian", "normal, then scaled to unit variance of every layer's output", "Mishkin & Matas 2016")
def lsuv_gaussian(network: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    """LSUV without its orthonormal step."""
    gaussian(network, images, generator)
    unit_variance(network, images)


@INITS.add(
    "lsuv_released", "like lsuv, in rounds to within 0.02 as in the released script", "Mishkin & Matas 2016, code"
)
def lsuv_released(network: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    """Layers of nearly unit variance are left unchanged; each round has its own forward pass, hence its own dropout.

    The paper's algorithm 1 has the same loop; `lsuv` is its fixed point.
    """
    orthonormal(network, images, generator)
    with _passes_of_training(network), torch.no_grad():
        for layer in executed_layers(network, images):
            _rounds_to_unit_variance(network, layer, images)


TOLERANCE = 0.02
ROUNDS = 20
"""Tolerance and number of rounds of the released script."""


def executed_layers(network: nn.Module, images: Tensor) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and fully connected layers in the order in which a batch passes through them."""
    found: list[nn.Conv2d | nn.Linear] = []
    with _hooks(network, lambda layer, _inputs, _output: found.append(layer)):
        network(images)
    return found


def _rounds_to_unit_variance(network: nn.Module, layer: nn.Conv2d | nn.Linear, images: Tensor) -> None:
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    for _ in range(ROUNDS):
        network(images)
        variance = outputs.pop().float().var(correction=0)
        if not torch.isfinite(variance) or variance == 0 or abs(variance - 1) <= TOLERANCE:
            break
        layer.weight.div_(variance.sqrt())
    hook.remove()


@contextmanager
def _hooks(network: nn.Module, hook: Callable[..., Tensor | None]) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in weighted_layers(network)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _passes_of_training(network: nn.Module) -> Iterator[None]:
    """Training mode, so dropout is active as in the released script. Running averages are restored afterwards."""
    weights = dict(network.named_parameters())
    before = {name: copy.deepcopy(value) for name, value in network.state_dict().items() if name not in weights}
    was_training = network.training
    network.train()
    for layer in network.modules():
        if isinstance(layer, StochasticDepth):
            layer.eval()  # every block takes part, at its mean weight
            layer.body.train()
        elif type(layer).__name__ in ("StochasticDepth", "DropPath"):  # torchvision's and timm's
            layer.eval()
    try:
        yield
    finally:
        network.train(was_training)
        network.load_state_dict(before, strict=False)


@torch.no_grad()
def unit_variance(network: nn.Module, images: Tensor, within: nn.Module | None = None) -> None:
    """Scale every layer, or only those `within` a part of the network, to unit variance of its output over the batch.

    `images` is a normalised batch (N, 3, side, side). Biases are 0, so a layer is linear in its weights: one division
    is exact, and the rounds of the released script are unnecessary. Each layer passes on its scaled output, so one
    forward pass suffices.
    """

    with _passes_of_training(network), _hooks(within or network, _scale_to_unit_variance):
        network(images)


def _scale_to_unit_variance(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
    deviation = output.float().std(correction=0)
    if not torch.isfinite(deviation) or deviation == 0:
        return None  # a constant batch says nothing about scale
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    layer.weight.div_(deviation)
    return output / deviation
