"""Networks: one file a family, each a description of layers on a `NetworkBuilder`. Knowing them loads no torch.

A network has factors of its own (batch normalisation, no dropout, another first layer ...): choosing it by name sets
them, see `own_factors`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from raysweep.errors import InapplicableError
from raysweep.recipe import NetworkRecipe
from raysweep.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from raysweep.nn.network_builder import NetworkBuilder

Describe = Callable[["NetworkBuilder"], None]
CELL_FACTORS = frozenset({"genotype", "cell_repeats", "drop_path"})
"""Of networks of searched cells alone."""
OPTIONAL_FACTORS = CELL_FACTORS | frozenset(
    {"widths", "stem_layers", "stem_layers_kernel", "stem_residual", "conv_form", "conv_pad", "groups"}
    | {"norm_layers", "norm_bypass", "lrn", "conv_dropout", "survival"}
)
"""Fields of a network that a family must know of; a family that does not refuses other values than the default."""


@dataclass(frozen=True)
class Network:
    """How a network is built, and what belongs to it."""

    describe: Describe
    side: int
    """Native image side, px."""
    classes: int
    """Native number of classes."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the network's recipe that are its own where a recipe does not say otherwise."""
    factors: frozenset[str] = frozenset()
    """The optional factors it knows."""


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
    """Register a description: a function that adds all layers of the network to a `NetworkBuilder`."""

    def register(describe: Describe) -> Describe:
        NETWORKS.add(name, summary, paper)(Network(describe, side, classes, own or {}, frozenset(factors)))
        return describe

    return register


@cache
def networks() -> Registry[Network]:
    """The registry with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return NETWORKS


def own_factors(recipe: NetworkRecipe, name: str) -> dict[str, Any]:
    """What else changes, by dotted path, when the recipe's network becomes the one of that name.

    The factors of the new network's own replace those of the old one and the defaults; what a protocol or a user has
    set to something else (a first layer for small images) stays.

    Raises:
        RaysweepError: no such network; the message holds the nearest ones.
    """
    before, after, defaults = networks()[recipe.name].own, networks()[name].own, NetworkRecipe()
    return {
        f"network.{factor}": after.get(factor, getattr(defaults, factor))
        for factor in sorted(before.keys() | after.keys())
        if getattr(recipe, factor) == before.get(factor, getattr(defaults, factor))
    }


def build_network(recipe: NetworkRecipe, shape: tuple[int, ...]) -> nn.Module:
    """The network of the recipe for images of a shape (channels, side, side); it returns (N, outputs) logits.

    With auxiliary heads it returns (1 + heads, N, outputs) in training. Made on torch's default device.

    Raises:
        RaysweepError: an unknown network or factor.
        InapplicableError: a factor that the network does not have, or images too small for it.
    """
    from raysweep.nn.network_builder import NetworkBuilder

    found = networks()[recipe.name]
    for factor in sorted(OPTIONAL_FACTORS - found.factors):
        if getattr(recipe, factor) != getattr(NetworkRecipe(), factor):
            raise InapplicableError(f"network.{factor} means nothing in {recipe.name}: leave it at its default.")
    # Who knows what convolutions do without borders also knows which of them stride in place of a pooling.
    net = NetworkBuilder(recipe, shape, strides_itself="conv_pad" in found.factors)
    found.describe(net)
    return net.build()
