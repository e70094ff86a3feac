"""Trace the code of one module with torch.fx, its children left whole, and check that it is the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from raysweep.errors import RaysweepError


class _OneLevel(fx.Tracer):
    """Traces a module's own code; all layers that it calls stay whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def graph_of(owner: nn.Module) -> fx.Graph | None:
    """The calls that the module's own code makes; None if it does not trace, or depends on the mode."""
    was = owner.training
    found = []
    try:
        for mode in (True, False):
            owner.training = mode
            found.append(_OneLevel().trace(owner))
    except Exception:  # whatever the code of others raises for a proxy
        return None
    finally:
        owner.training = was
    training, testing = (str(graph) for graph in found)
    return found[0] if training == testing else None


def check_same(network: nn.Module, graphs: Mapping[str, fx.Graph], run: Callable[[], object]) -> None:
    """Refuse traces, by dotted path, that are not what the module computes while `run` runs the network.

    A branch on the type or the value of an argument may be traced wrongly without an error.

    Raises:
        RaysweepError: with the path of the module.
    """
    handles = []
    for path, graph in graphs.items():
        owner = network.get_submodule(path)
        before, after = _comparing(path, fx.GraphModule(owner, copy.deepcopy(graph)))
        handles.append(owner.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(owner.register_forward_hook(after))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()


def _comparing(path: str, traced: nn.Module) -> tuple[Callable[..., None], Callable[..., None]]:
    expected: list[Any] = []

    def before(layer: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        traced.training = layer.training
        expected.append(traced(*map(_copy, inputs), **{name: _copy(value) for name, value in keywords.items()}))

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not _equal(expected.pop(), output):
            raise RaysweepError(
                f"torch.fx traces {path or 'the network'} ({type(layer).__name__}) to something else than it computes, "
                "so its calls cannot be replaced: let it not branch on the type or the value of its arguments."
            )

    return before, after


def _copy(value: Any) -> Any:
    """A copy of a tensor, which the code may change in place."""
    return value.clone() if isinstance(value, Tensor) else value


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.shape == second.shape and (first.is_meta or torch.equal(first, second))
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(_equal, first, second))
    return type(first) is type(second)
