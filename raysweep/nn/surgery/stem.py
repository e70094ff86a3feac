"""The first layer: its kernel, its stride, and the number of channels that it reads."""

from __future__ import annotations

from typing import Any

from torch import nn

from raysweep.nn.surgery.classifier import resized
from raysweep.nn.surgery.operation import Operation, Replaced
from raysweep.nn.surgery.replacing import set_layer


def _first(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    return next(((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), None)


def own(network: nn.Module) -> dict[str, Any]:
    """Kernel and stride of the first convolution; nothing without one."""
    found = _first(network)
    return {"stem_kernel": found[1].kernel_size[0], "stem_stride": found[1].stride[0]} if found else {}


def replace_stem(operation: Operation) -> None:
    """Replace the first convolution by one with the recipe's kernel and stride.

    It is padded by half its kernel, which keeps the size at a stride of 1, unless its windows do not overlap.

    Raises:
        InapplicableError: the network has no convolution.
    """
    recipe, found = operation.recipe, _first(operation.network)
    if found is None:
        raise operation.inapplicable("first convolution")
    kernel, stride = recipe.stem_kernel, recipe.stem_stride
    pad = kernel // 2 if kernel > stride else 0
    _put(operation, *found, kernel_size=kernel, stride=stride, padding=pad)


def fit_channels(operation: Operation, channels: int) -> None:
    """Replace the first convolution by one that reads this many channels, if it reads another number.

    Raises:
        InapplicableError: the network has no convolution.
    """
    found = _first(operation.network)
    if found and found[1].in_channels == channels:
        return
    if found is None:
        raise operation.inapplicable("first convolution")
    _put(operation, *found, in_channels=channels)


def _put(operation: Operation, path: str, old: nn.Conv2d, **changes: int) -> None:
    new: Any = resized(old, **changes)
    words = [
        f"{conv.in_channels} channels, {conv.kernel_size[0]}x{conv.kernel_size[1]}, stride {conv.stride[0]}"
        for conv in (old, new)
    ]
    set_layer(operation.network, path, new)
    operation.done.append(Replaced(1, 1, f"first layer ({words[0]}) -> ({words[1]})", (path,)))
