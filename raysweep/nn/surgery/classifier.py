"""The weighted layers, the first and the last of which see the image and give the logits."""

from __future__ import annotations

from typing import Any

from torch import nn

from raysweep.nn.surgery.operation import Operation, Replaced
from raysweep.nn.surgery.replacing import set_layer


def is_weighted(layer: nn.Module) -> bool:
    """Whether a layer is a convolution or fully connected."""
    return isinstance(layer, nn.Conv2d | nn.Linear)


def classifier_path(operation: Operation) -> str:
    """Dotted path of the layer that gives the logits: the last one that runs.

    Raises:
        InapplicableError: the network has no convolution and no fully connected layer.
    """
    calls = operation.record(is_weighted)
    if not calls:
        raise operation.inapplicable("classifier")
    return calls[-1].layer


def fit_outputs(operation: Operation) -> None:
    """Replace the classifier by one with the recipe's number of outputs, if it has another.

    Raises:
        InapplicableError: the network has no convolution and no fully connected layer.
    """
    path = classifier_path(operation)
    old: Any = operation.network.get_submodule(path)
    name = "out_features" if isinstance(old, nn.Linear) else "out_channels"
    wanted = operation.recipe.outputs
    if getattr(old, name) == wanted:
        return
    set_layer(operation.network, path, resized(old, **{name: wanted}))
    operation.done.append(Replaced(1, 1, f"classifier of {getattr(old, name)} outputs -> {wanted}", (path,)))


def resized(old: Any, **changes: Any) -> nn.Module:
    """A convolution or fully connected layer like `old` with these arguments changed, and torch's initial weights."""
    shared = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    names = ("in_features", "out_features") if isinstance(old, nn.Linear) else ("in_channels", *shared)
    settings = {name: getattr(old, name) for name in names} | {"bias": old.bias is not None} | changes
    kind = nn.Linear if isinstance(old, nn.Linear) else nn.Conv2d
    return kind(**settings, device=old.weight.device)
