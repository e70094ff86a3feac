"""Biases of convolutions and fully connected layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raysweep.nn.surgery.operation import Operation, Replaced

KINDS = (nn.Conv2d, nn.Linear)


def own(network: nn.Module) -> dict[str, Any]:
    """Whether fully connected layers, if there are any, and all convolutions have biases."""
    convs = [layer.bias is not None for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    linear = [layer.bias is not None for layer in network.modules() if isinstance(layer, nn.Linear)]
    return {"bias": any(linear) if linear else any(convs) or not convs, "conv_bias": all(convs)}


def set_biases(operation: Operation) -> None:
    """Add the biases that the recipe asks for, initially 0, and remove those that it does not.

    Raises:
        InapplicableError: every layer is already as asked for.
    """
    recipe = operation.recipe
    added: list[str] = []
    removed: list[str] = []
    layers = [(name, layer) for name, layer in operation.network.named_modules() if isinstance(layer, KINDS)]
    for name, layer in layers:
        asked = recipe.bias and (recipe.conv_bias or isinstance(layer, nn.Linear))
        if asked and layer.bias is None:
            outputs = len(layer.weight)
            layer.bias = nn.Parameter(torch.zeros(outputs, device=layer.weight.device))
            added.append(name)
        elif not asked and layer.bias is not None and _is_changed(operation, layer):
            layer.bias = None
            removed.append(name)
    for names, word in ((added, "given biases"), (removed, "left without biases")):
        if names:
            operation.done.append(Replaced(len(names), len(layers), f"layers {word}", tuple(names)))
    if not added and not removed:
        raise operation.inapplicable("biases")


def _is_changed(operation: Operation, layer: nn.Module) -> bool:
    """Whether the recipe changes the field that says that this layer has no bias."""
    return operation.changes("bias") or (isinstance(layer, nn.Conv2d) and operation.changes("conv_bias"))
