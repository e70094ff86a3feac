"""The normalisation and its position before or after the non-linearity."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from raysweep.nn.norms import NORMS
from raysweep.nn.surgery.activation import FUNCTIONS, NAMES, ChannelsFirst, is_activation, non_linearities
from raysweep.nn.surgery.activation import layer as activation
from raysweep.nn.surgery.calls import Call
from raysweep.nn.surgery.classifier import is_weighted
from raysweep.nn.surgery.operation import Operation

WORDS = "normalisations"
CLASSES = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


def is_norm(layer: nn.Module) -> bool:
    """Whether a layer is a normalisation."""
    return isinstance(layer, CLASSES)


def own(network: nn.Module) -> dict[str, Any]:
    """The network's normalisation: `own` if it has one that this package does not name, or several."""
    norms = [layer for layer in network.modules() if is_norm(layer)]
    names = {_name(layer) for layer in norms}
    if not norms:
        return {"norm": "none", "norm_position": "after"}
    return {"norm": names.pop() if len(names) == 1 else "own", "norm_position": "before"}


def _name(layer: nn.Module) -> str:
    if isinstance(layer, _BatchNorm):
        return "batch_affine" if layer.affine else "batch"
    return "own"


def replace_norms(operation: Operation) -> None:
    """Replace the normalisations where they are, or put others behind every non-linearity or weighted layer.

    Raises:
        InapplicableError: there is nothing to replace, or nothing to put them behind.
    """
    recipe, network = operation.recipe, operation.network
    present = operation.record(is_norm)
    if recipe.norm == "own":
        raise operation.inapplicable(f"{WORDS} of this package, so network.norm_position cannot change, nothing")
    if recipe.norm_position == "before" and present:
        operation.replace(present, lambda call: _in_place(network, call, recipe.norm), {}, recipe.norm, WORDS)
        return
    if present:
        operation.replace(present, lambda call: _in_place(network, call, "none"), {}, "none", WORDS)
    if recipe.norm == "none":
        return
    if recipe.norm_position == "after":
        found = non_linearities(operation.record(is_activation, FUNCTIONS))
        calls, words = [call for call in found if call.layer or call.kind in NAMES], "non-linearities"
    else:
        calls, words = operation.record(is_weighted)[:-1], "weighted layers"
    if not calls:
        raise operation.inapplicable(f"{words} for a normalisation to follow")
    done = operation.replaced(calls, lambda call: _followed(network, call, recipe.norm), FUNCTIONS)
    if not done:
        raise operation.inapplicable(f"{words} that torch.fx can trace")
    operation.report(done, len(calls), f"{words} followed by {recipe.norm}")


def _in_place(network: nn.Module, call: Call, name: str) -> nn.Module:
    """The normalisation of that name for an old one's channels, with the non-linearity that the old one includes."""
    old = network.get_submodule(call.layer)
    last = isinstance(old, nn.LayerNorm) and not type(old).__name__.endswith("2d")
    channels = call.shape[-1 if last else 0]
    new = NORMS[name](channels)
    new = ChannelsFirst(new) if last and name != "none" else new
    included = [getattr(old, part) for part in ("drop", "act") if isinstance(getattr(old, part, None), nn.Module)]
    return nn.Sequential(new, *included) if included else new


def _followed(network: nn.Module, call: Call, name: str) -> nn.Module:
    """What is called, followed by a normalisation of its output's channels."""
    if not call.layer:
        return nn.Sequential(activation(NAMES[call.kind], call), _norm_for(name, call.channels, call.channels_last))
    layer = network.get_submodule(call.layer)
    if isinstance(layer, nn.Conv2d):
        return nn.Sequential(layer, _norm_for(name, layer.out_channels, False))
    if isinstance(layer, nn.Linear):
        return nn.Sequential(layer, _norm_for(name, layer.out_features, len(call.shape) > 1))
    # A copy: calls that share a layer get one each, as their normalisations differ.
    return nn.Sequential(copy.deepcopy(layer), _norm_for(name, call.channels, call.channels_last))


def _norm_for(name: str, channels: int, last: bool) -> nn.Module:
    return ChannelsFirst(NORMS[name](channels)) if last else NORMS[name](channels)
