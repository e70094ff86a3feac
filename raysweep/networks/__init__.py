"""Networks: one file per family, each describing layers on a `NetworkBuilder`. Only building a network loads torch.

A network has factors of its own (batch normalisation, no dropout, another first layer ...), which choosing it by name
sets, see `own_factors`. A name with a colon is that of a network from outside the package, see `outside`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.networks.outside import build_outside, find_outside, is_outside, own_of_outside
from raysweep.recipe import NetworkRecipe
from raysweep.registry import Registry
from raysweep.safe import command

if TYPE_CHECKING:
    from torch import nn

    from raysweep.nn.network_builder import NetworkBuilder

Describe = Callable[["NetworkBuilder"], None]
"""Adds all layers of a network.

Each raises `InapplicableError` for images that are too small, and where a non-linearity has a single input, such as
after a sum, for one that combines several layers."""
CELL_FACTORS = frozenset({"genotype", "cell_repeats", "drop_path"})
"""The factors that only networks of searched cells have."""
OPTIONAL_FACTORS = CELL_FACTORS | frozenset(
    {"widths", "stem_layers", "stem_layers_kernel", "stem_residual", "conv_form", "conv_pad", "groups"}
    | {"norm_layers", "norm_bypass", "norm_after_pools", "first_pooling", "lrn", "conv_dropout", "survival"}
    | {"stem_activation"}
)
"""Fields that a network uses only if it declares them; any other network refuses values other than the default."""


@dataclass(frozen=True)
class Network:
    """A registered network: how to build it, its native images and its own factors."""

    describe: Describe
    side: int
    """Native image side, px."""
    classes: int
    """Native number of classes."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Values of recipe fields that choosing the network sets, unless the recipe sets others."""
    factors: frozenset[str] = frozenset()
    """The optional factors that it uses."""


NETWORKS: Registry[Network] = Registry("network", "raysweep list networks")


def network(
    name: str,
    summary: str,
    paper: str,
    *,
    side: int = 224,
    classes: int = 1000,
    own: Mapping[str, Any] | None = None,
    factors: Iterable[str] = (),
) -> Callable[[Describe], Describe]:
    """Register the decorated function, which adds all layers of the network to a `NetworkBuilder`."""

    def register(describe: Describe) -> Describe:
        NETWORKS.add(name, summary, paper)(Network(describe, side, classes, own or {}, frozenset(factors)))
        return describe

    return register


@cache
def networks() -> Registry[Network]:
    """The registry, with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return NETWORKS


def own_of(name: str, source: str = "") -> Mapping[str, Any]:
    """The values of recipe fields that belong to the network of that name, where they differ from the defaults.

    `source` is that of a recipe which has the network already; without it the name is one that the user gives now.

    Raises:
        RaysweepError: unknown network; the message lists similar names.
    """
    return own_of_outside(name, source) if is_outside(name) else networks()[name].own


def native_images(name: str) -> tuple[int, int]:
    """The image side, px, and the number of classes that the network of that name was designed for.

    Raises:
        RaysweepError: unknown network; the message lists similar names.
    """
    found = find_outside(name) if is_outside(name) else networks()[name]
    return found.side, found.classes


def own_factors(recipe: NetworkRecipe, name: str) -> dict[str, Any]:
    """The further changes, by dotted path, when the recipe's network becomes the one called `name`.

    The new network's own factors replace those of the old one and the defaults. Values that a protocol or a user has
    set (say, a first layer for small images) are kept.

    Raises:
        RaysweepError: unknown network; the message lists similar names.
    """
    before, after, defaults = own_of(recipe.name, recipe.source), own_of(name), NetworkRecipe()
    return {
        f"network.{factor}": after.get(factor, getattr(defaults, factor))
        for factor in sorted(before.keys() | after.keys())
        if getattr(recipe, factor) == before.get(factor, getattr(defaults, factor))
    }


def genotype_text(recipe: NetworkRecipe, example: object) -> str:
    """The recipe's genotype.

    Raises:
        RaysweepError: it is empty.
    """
    if not recipe.genotype:
        option = command("--set", f"network.genotype={example}")
        raise RaysweepError(
            f"{recipe.name} is built from network.genotype, which is empty: set it to one as printed by raysweep.nas, "
            f"e.g. `{option}`."
        )
    return recipe.genotype


def build_network(recipe: NetworkRecipe, shape: tuple[int, ...]) -> nn.Module:
    """Build the recipe's network for images of `shape` (channels, side, side), on torch's default device.

    It returns logits (N, outputs); in training with auxiliary heads, (1 + heads, N, outputs).

    Raises:
        RaysweepError: an unknown network or factor.
        InapplicableError: a factor that the network does not have, or images too small for it.
    """
    if is_outside(recipe.name):
        return build_outside(recipe, shape)
    from raysweep.nn.network_builder import NetworkBuilder

    found = networks()[recipe.name]
    for factor in sorted(OPTIONAL_FACTORS - found.factors):
        if getattr(recipe, factor) != getattr(NetworkRecipe(), factor):
            raise InapplicableError(f"{recipe.name} does not use network.{factor}: leave it at its default.")
    # Networks that define their convolutions without borders also define which of them stride instead of a pooling.
    net = NetworkBuilder(recipe, shape, strides_itself="conv_pad" in found.factors)
    found.describe(net)
    return net.build()
