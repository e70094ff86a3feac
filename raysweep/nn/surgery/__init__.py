"""Surgery on finished modules: the factors of a recipe, applied to a network that this package did not describe.

Each file has one factor. It says which values of its recipe fields the network has, its own ones, and replaces layers
where the recipe has others. The network's own values change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from raysweep.errors import InapplicableError
from raysweep.nn.surgery import activation, bias, dropout, norm, pooling, stem
from raysweep.nn.surgery.calls import record
from raysweep.nn.surgery.classifier import fit_outputs
from raysweep.nn.surgery.front import Stacked, in_front
from raysweep.nn.surgery.operation import Operation, Replaced
from raysweep.recipe import NetworkRecipe

FACTORS: Mapping[tuple[str, ...], Callable[[Operation], None]] = {
    ("stem_kernel", "stem_stride"): stem.replace_stem,
    ("pooling", "pool_kernel", "pool_pad"): pooling.replace_poolings,
    ("norm", "norm_position"): norm.replace_norms,
    ("activation", "fc_activation"): activation.replace_activations,
    ("dropout",): dropout.set_dropout,
    ("bias", "conv_bias"): bias.set_biases,
}
"""The recipe fields of each factor, and what applies it, in the order in which they are applied."""
MAKERS = frozenset({"name", "outputs", "input_net", "input_dropout", "width", "survival", "aux_weight"})
"""Fields that are used where the network is made, or in front of it."""
DROPPING = frozenset({"DropPath", "StochasticDepth"})
"""Classes that leave out a path at random in training."""


def own_values(network: nn.Module, shape: Sequence[int]) -> dict[str, Any]:
    """The network's own values of recipe fields, where they are not the defaults; `own` is what has no name here.

    `shape` is that of an image that the network takes.
    """
    activations = record(network, shape, activation.is_activation, activation.FUNCTIONS)
    poolings = record(network, shape, pooling.is_pooling, pooling.FUNCTIONS)
    dropped = [_probability(layer) for layer in network.modules() if type(layer).__name__ in DROPPING]
    found = {
        "head": "own",
        "survival": round(1 - max(dropped, default=0.0), 6),
        **stem.own(network),
        **pooling.own(network, poolings),
        **norm.own(network),
        **activation.own(activations),
        **dropout.own(network),
        **bias.own(network),
    }
    return {name: value for name, value in found.items() if value != getattr(NetworkRecipe(), name)}


def _probability(layer: nn.Module) -> float:
    return float(getattr(layer, "drop_prob", getattr(layer, "p", 0.0)) or 0.0)


def operate(
    make: Callable[[int], nn.Module],
    recipe: NetworkRecipe,
    own: Mapping[str, Any],
    shape: tuple[int, ...],
    fits_outputs: bool = False,
) -> tuple[nn.Module, list[Replaced]]:
    """The network that `make` makes for a number of input channels, with the recipe's factors; and what was replaced.

    `own` are the network's own values of fields, where they are not the defaults. `fits_outputs`: its number of
    outputs may be another one, and is changed to the recipe's.

    Raises:
        InapplicableError: a factor that the network does not have.
    """
    own, known = vars(NetworkRecipe()) | dict(own), MAKERS.union(*FACTORS)
    for name in vars(recipe).keys() - known:
        if getattr(recipe, name) != own[name]:
            raise InapplicableError(f"{recipe.name} does not use network.{name}: leave it at {own[name]!r}.")
    front, channels, added = in_front(recipe, shape[0])
    network = make(channels)
    operation = Operation(network, recipe, own, (channels, *shape[1:]), added)
    stem.fit_channels(operation, channels)
    if fits_outputs:
        fit_outputs(operation)
    for fields, apply in FACTORS.items():
        if operation.changes(*fields):
            apply(operation)
    return front(Stacked(network) if recipe.aux_weight else network), operation.done
