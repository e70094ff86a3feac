"""Poolings that make the map smaller; those over the whole map, and those that keep its size, stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from raysweep.errors import InapplicableError
from raysweep.nn.pooling import POOLINGS, Window, replaces_pooling
from raysweep.nn.surgery.calls import Call, Functions
from raysweep.nn.surgery.operation import Operation
from raysweep.recipe import NetworkRecipe

WORDS = "poolings that make the map smaller"
NAMES = {"MaxPool2d": "max", "max_pool2d": "max", "AvgPool2d": "average", "avg_pool2d": "average"}
FUNCTIONS: Functions = {
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), "max_pool2d"),
    **dict.fromkeys((F.avg_pool2d,), "avg_pool2d"),
}


def is_pooling(layer: nn.Module) -> bool:
    """Whether a layer is a pooling with a window."""
    return isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)


def own(network: nn.Module, calls: Sequence[Call]) -> dict[str, Any]:
    """The network's pooling, and the window of its first one."""
    shrinking = _shrinking(network, calls)
    names = {NAMES.get(call.kind, "own") for call, _ in shrinking}
    if not names:
        return {}
    window = shrinking[0][1]
    return {
        "pooling": names.pop() if len(names) == 1 else "own",
        "pool_kernel": window.kernel,
        "pool_pad": window.pad,
    }


def _shrinking(network: nn.Module, calls: Sequence[Call]) -> list[tuple[Call, Window]]:
    found = ((call, _window(network, call)) for call in calls)
    return [(call, window) for call, window in found if window and window.stride > 1]


def _window(network: nn.Module, call: Call) -> Window | None:
    """The window of a pooling; None for one that is not square."""
    names = ("kernel_size", "stride", "padding", "ceil_mode")
    if call.layer:
        given = {name: getattr(network.get_submodule(call.layer), name) for name in names}
    else:
        given = dict(zip(names, call.arguments, strict=False)) | dict(call.keywords)
    kernel = _side(given["kernel_size"])
    stride, pad = _side(given.get("stride") or kernel), _side(given.get("padding", 0))
    if kernel is None or stride is None or pad is None or kernel < stride:
        return None
    return Window(kernel, stride, pad, bool(given.get("ceil_mode")))


def _side(size: int | Sequence[int] | None) -> int | None:
    """The side of a square given by one number or two; None for what is not square."""
    if size is None or isinstance(size, int):
        return size
    return size[0] if len(set(size)) == 1 else None


def replace_poolings(operation: Operation) -> None:
    """Replace the poolings by the recipe's kind, with its window where that is not the network's own.

    Raises:
        InapplicableError: there are none, or the recipe replaces pooling by strided convolutions.
    """
    recipe, network = operation.recipe, operation.network
    if recipe.pooling != "own" and replaces_pooling(recipe.pooling):
        raise InapplicableError(
            f"network.pooling {recipe.pooling} is defined for caffenet only, not for {recipe.name}: choose another "
            "pooling."
        )
    found = _shrinking(network, operation.record(is_pooling, FUNCTIONS))
    windows = {id(call): window for call, window in found}

    def make(call: Call) -> nn.Module:
        window, name = windows[id(call)], recipe.pooling if recipe.pooling != "own" else NAMES[call.kind]
        kernel = recipe.pool_kernel if operation.changes("pool_kernel") else window.kernel
        pad = recipe.pool_pad if operation.changes("pool_pad") else window.pad
        return POOLINGS[name](Window(kernel, window.stride, pad, window.round_up))

    changed = [call for call, _ in found if operation.changes("pool_kernel", "pool_pad") or _differs(call, recipe)]
    operation.replace(changed, make, FUNCTIONS, recipe.pooling, WORDS)


def _differs(call: Call, recipe: NetworkRecipe) -> bool:
    return NAMES[call.kind] != recipe.pooling
