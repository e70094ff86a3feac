"""Tools that compare our networks with others: built on meta tensors, and given another network's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from raysweep.cost import compute_cost, native_recipe
from raysweep.networks import build_network
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.write.sources.torchvision_sets import import_torchvision

Sizes = tuple[int, int]


def native(name: str, **factors: object) -> Recipe:
    """A network as its paper has it, with some factors changed."""
    return patch(native_recipe(name), {f"network.{factor}": value for factor, value in factors.items()})


def built(recipe: Recipe, device: str = "meta") -> nn.Module:
    """The recipe's network."""
    with torch.device(device):
        return build_network(recipe.network, recipe.data.shape)


def size(recipe: Recipe) -> Sizes:
    """Parameters and MACs of the recipe's network."""
    cost = compute_cost(recipe)
    return cost.params, cost.macs


def size_of(network: nn.Module, side: int) -> Sizes:
    """Parameters and MACs of any network on meta tensors, for 3 x side x side images."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval().requires_grad_(False)(torch.empty(1, 3, side, side, device="meta"))
    return sum(weight.numel() for weight in network.parameters()), counter.get_total_flops() // 2


def theirs(name: str, device: str = "meta", **settings: Any) -> nn.Module:
    """torchvision's network of that name, without pretrained weights."""
    with torch.device(device):
        network: nn.Module = getattr(import_torchvision().models, name)(weights=None, **settings)
    return network


def steps(network: nn.Module, images: Tensor) -> list[nn.Module]:
    """Convolutions, normalisations and fully connected layers in the order in which they are executed."""
    found: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, CaffeBatchNorm)
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    hooks = [layer.register_forward_hook(lambda layer, *_: found.append(layer)) for layer in layers]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def take_over(ours: nn.Module, others: nn.Module, images: Tensor) -> None:
    """Random weights and statistics in theirs, the same ones in ours, layer by layer in order of execution."""
    pairs = list(zip(steps(ours, images), steps(others, images), strict=True))
    for mine, other in pairs:
        if isinstance(other, nn.BatchNorm2d):
            other.eps = 1e-5  # Caffe's
            for value, low in (
                (other.weight, 0.5),
                (other.bias, -0.5),
                (other.running_mean, -0.5),
                (other.running_var, 0.5),
            ):
                value.uniform_(low, low + 1)
            mine.running_mean.copy_(other.running_mean)  # type: ignore[operator, union-attr]
            mine.running_var.copy_(other.running_var)  # type: ignore[operator, union-attr]
        for name, weight in other.named_parameters():
            getattr(mine, name).copy_(weight)


def assert_the_same_function(recipe: Recipe, others: nn.Module) -> None:
    """Ours with their random weights gives what theirs gives, to 1e-5 of the largest output, on random images."""
    images = torch.randn(2, *recipe.data.shape, generator=torch.Generator().manual_seed(0))
    ours = built(recipe, "cpu").eval()
    take_over(ours, others, images)
    with torch.no_grad():
        expected, found = others.eval()(images), ours(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
