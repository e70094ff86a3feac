"""The non-linearity, of modules and of functional calls; gates such as those of squeeze-and-excitation stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import InapplicableError
from raysweep.nn.activations import ACTIVATIONS
from raysweep.nn.surgery.calls import Call, Functions
from raysweep.nn.surgery.operation import Operation

WORDS = "non-linearities"
NAMES = {"ReLU": "relu", "relu": "relu", "GELU": "gelu", "gelu": "gelu", "SiLU": "silu", "silu": "silu"}
NAMES |= {"ELU": "elu", "elu": "elu", "Hardswish": "hardswish", "hardswish": "hardswish"}
"""Kinds of calls that are non-linearities of this package with their defaults."""
CLASSES = frozenset(
    {"ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "GELUTanh", "QuickGELU", "SiLU"}
    | {"Swish", "Mish", "Hardswish", "HardSwish", "HardMish", "Softplus", "Softsign", "Pointwise"}
)
GATES = frozenset({"Sigmoid", "Tanh", "Hardsigmoid", "HardSigmoid", "Hardtanh", "sigmoid", "tanh"})
"""Bounded: they count as non-linearities only of a network that has no others."""
FUNCTIONS: Functions = {
    **dict.fromkeys((F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), "relu"),
    **{F.relu6: "relu6", F.leaky_relu: "leaky_relu", F.elu: "elu", F.selu: "selu", F.celu: "celu", F.gelu: "gelu"},
    **{F.silu: "silu", F.mish: "mish", F.hardswish: "hardswish", F.softplus: "softplus"},
    **dict.fromkeys((F.sigmoid, torch.sigmoid, Tensor.sigmoid), "sigmoid"),
    **dict.fromkeys((F.tanh, torch.tanh, Tensor.tanh), "tanh"),
}


def is_activation(layer: nn.Module) -> bool:
    """Whether a layer is a non-linearity or a gate."""
    return type(layer).__name__ in CLASSES | GATES


def non_linearities(calls: Sequence[Call]) -> list[Call]:
    """The calls that are the network's non-linearities."""
    return [call for call in calls if call.kind not in GATES] or list(calls)


def own(calls: Sequence[Call]) -> dict[str, Any]:
    """The network's non-linearity: its name, or `own` if it has none of this package, or several."""
    names = {NAMES.get(call.kind, "own") for call in non_linearities(calls)}
    return {"activation": names.pop() if len(names) == 1 else "own", "fc_activation": ""}


def replace_activations(operation: Operation) -> None:
    """Replace the non-linearities; those on vectors by the one of fully connected layers, if the recipe has another.

    Raises:
        InapplicableError: there are none, or the new one takes the outputs of several layers.
    """
    recipe = operation.recipe
    by_kind: dict[str, list[Call]] = {}
    for call in non_linearities(operation.record(is_activation, FUNCTIONS)):
        name = (len(call.shape) == 1 and recipe.fc_activation) or recipe.activation
        if name != operation.own["activation"]:
            by_kind.setdefault(name, []).append(call)
    if not by_kind:
        raise operation.inapplicable(f"{WORDS}{' of fully connected layers' if recipe.fc_activation else ''}")
    for name, calls in by_kind.items():
        operation.replace(calls, lambda call, name=name: layer(name, call), FUNCTIONS, name, WORDS)  # type: ignore[misc]


def layer(name: str, call: Call) -> nn.Module:
    """The non-linearity of that name in the place of a call.

    Raises:
        InapplicableError: it takes the outputs of several layers.
    """
    spec = ACTIVATIONS[name]
    if spec.pieces > 1:
        raise InapplicableError(
            f"{name} combines the outputs of {spec.pieces} layers, but surgery replaces non-linearities with a single "
            "input: choose another network.activation."
        )
    made = spec.build(call.channels_first_shape)
    return ChannelsFirst(made) if call.channels_last and made.state_dict() else made


class ChannelsFirst(nn.Module):
    """A layer for channels in the second dimension, applied to an input with channels in the last one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """x (N, ..., C) -> the same shape."""
        result: Tensor = self.layer(x.movedim(-1, 1)).movedim(1, -1)
        return result
