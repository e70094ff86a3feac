"""Networks as torchvision and timm make them themselves, and as a recipe makes them from their names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from raysweep.cost import compute_cost, native_recipe
from raysweep.import_torchvision import import_torchvision
from raysweep.networks import build_network
from raysweep.networks.outside import operated
from raysweep.patch import patch
from raysweep.recipe import Recipe
from tests.networks.comparison import size_of

SMALL = ("torchvision:squeezenet1_1", "torchvision:mobilenet_v3_small", "timm:convnext_atto")


def named(name: str, side: int | None = None, **factors: object) -> Recipe:
    """The network of that name with some factors changed, for its native images or those of another side."""
    changes = {f"network.{factor}": value for factor, value in factors.items()}
    return patch(native_recipe(name), changes | ({"data.side": side} if side else {}))


def theirs(name: str) -> nn.Module:
    """The network as its package makes it, without pretrained weights."""
    torchvision = import_torchvision()
    source, _, rest = name.partition(":")
    settings: dict[str, Any] = {}
    if rest in ("googlenet", "inception_v3") and source == "torchvision":
        settings = {"aux_logits": False, "init_weights": False}
    if source == "torchvision":
        network: nn.Module = torchvision.models.get_model(rest, weights=None, **settings)
        return network
    import timm

    made: nn.Module = timm.create_model(rest, pretrained=False)
    return made


def built(recipe: Recipe, device: str = "cpu") -> nn.Module:
    """The recipe's network."""
    with torch.device(device):
        return build_network(recipe.network, recipe.data.shape)


def replaced(recipe: Recipe) -> list[str]:
    """What surgery replaced."""
    with torch.device("meta"):
        return [str(done) for done in operated(recipe.network, recipe.data.shape)[1]]


@torch.no_grad()
def logits(network: nn.Module, side: int, images: int = 2) -> Tensor:
    """The network's answer to fixed random images."""
    answer: Tensor = network.eval()(torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(0)))
    return answer


def assert_nothing_changes(name: str, side: int | None = None) -> None:
    """By its name a network has the weights, the answers and the cost of the package's own, to the last bit."""
    recipe = named(name, side)
    shown = recipe.data.side
    torch.manual_seed(1)
    ours = built(recipe)
    torch.manual_seed(1)
    original = theirs(name)
    mine, other = ours.state_dict(), original.state_dict()
    assert list(mine) == list(other)
    assert all(torch.equal(mine[key], other[key]) for key in mine)
    assert type(ours) is type(original)
    assert torch.equal(logits(ours, shown), logits(original, shown))
    cost = compute_cost(recipe)
    with torch.device("meta"):
        assert (cost.params, cost.macs) == size_of(original.to("meta"), shown)
    assert not replaced(recipe)
