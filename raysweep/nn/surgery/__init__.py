"""Surgery on finished modules: the factors of a recipe, applied to a network that this package did not describe.

Each file has one factor. It says which values of its recipe fields the network has, its own ones, and replaces layers
where the recipe has others. The network's own values change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from raysweep.errors import InapplicableError
from raysweep.nn.surgery.front import in_front
from raysweep.recipe import NetworkRecipe

OWN: Mapping[str, Any] = {"head": "own", "survival": 1.0}
ELSEWHERE = frozenset({"name", "outputs", "input_net", "input_dropout", "width", "survival", "aux_weight"})
"""Fields that are no factors of a finished module: they are used when it is made, or in front of it."""


def own_values(network: nn.Module, shape: tuple[int, ...]) -> dict[str, Any]:
    """The values of recipe fields that the network has, for images of `shape`."""
    return dict(OWN)


def operate(
    make: Callable[[int], nn.Module], recipe: NetworkRecipe, own: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[nn.Module, list[str]]:
    """The network that `make` makes for a number of input channels, with the recipe's factors; and what was replaced.

    Raises:
        InapplicableError: a factor that the network does not have.
    """
    front, channels, said = in_front(recipe, shape[0])
    network = make(channels)
    neutral = NetworkRecipe()
    for field in vars(neutral).keys() - ELSEWHERE:
        has = own.get(field, getattr(neutral, field))
        if getattr(recipe, field) != has:
            raise InapplicableError(f"{recipe.name} has no network.{field} to change: leave it at {has!r}.")
    return front(network), said
