"""Dropout of the classifier's input, or of the hidden layers that have it."""

from __future__ import annotations

from typing import Any

from torch import nn

from raysweep.nn.surgery.classifier import classifier_path
from raysweep.nn.surgery.operation import Operation, Replaced
from raysweep.nn.surgery.replacing import set_layer


def _active(network: nn.Module) -> dict[str, nn.Dropout]:
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Dropout) and layer.p > 0}


def own(network: nn.Module) -> dict[str, Any]:
    """The network's dropout probability: the largest one, 0 without dropout."""
    return {"dropout": float(max((layer.p for layer in _active(network).values()), default=0.0))}


def set_dropout(operation: Operation) -> None:
    """Set the probability of every dropout layer in use; if there is none, put one in front of the classifier.

    Raises:
        InapplicableError: the network has no classifier to put it in front of.
    """
    share, active = operation.recipe.dropout, _active(operation.network)
    for layer in active.values():
        layer.p = share
    if active:
        was = operation.own["dropout"]
        operation.done.append(Replaced(len(active), len(active), f"dropout {was:g} -> {share:g}", tuple(active)))
        return
    path = classifier_path(operation)
    set_layer(operation.network, path, nn.Sequential(nn.Dropout(share), operation.network.get_submodule(path)))
    operation.done.append(Replaced(1, 1, f"classifier behind dropout of {share:g}", (path,)))
