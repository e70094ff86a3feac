"""Networks: one file a family. `build_network` makes the one a recipe names, on torch's default device."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

from torch import nn

from raysweep.nn.activations import Shape
from raysweep.recipe import NetworkRecipe
from raysweep.registry import Registry

Build = Callable[[NetworkRecipe, Shape], nn.Module]
NETWORKS: Registry[Build] = Registry("network", "raysweep list networks")


@cache
def networks() -> Registry[Build]:
    """The registry with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return NETWORKS


def build_network(recipe: NetworkRecipe, shape: Shape) -> nn.Module:
    """The network of the recipe for images of a shape (channels, side, side); it returns (N, outputs) logits.

    Raises:
        RaysweepError: an unknown network or factor, or images too small for it.
    """
    return networks()[recipe.name](recipe, shape)
