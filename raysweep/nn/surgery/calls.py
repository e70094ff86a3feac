"""The calls of layers and functions in a forward pass: what surgery acts on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Functions = Mapping[Any, str]
"""Functions of a tensor, each with the name of its kind."""
Wanted = Callable[[nn.Module], bool]


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a function in a forward pass."""

    owner: str
    """Dotted path of the module whose `forward` makes the call."""
    layer: str
    """Dotted path of the layer that is called; empty for a function."""
    kind: str
    """Class of the layer, or name of the function's kind."""
    shape: tuple[int, ...]
    """Shape of the first argument without its first dimension."""
    channels_last: bool = False
    """Whether the channels are the last dimension, as after a fully connected layer on every position."""
    arguments: tuple[Any, ...] = ()
    """A function's further arguments."""
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Number of channels of the first argument."""
        return self.shape[-1 if self.channels_last else 0]

    @property
    def channels_first_shape(self) -> tuple[int, ...]:
        """Shape of the first argument for one image, channels first."""
        return (self.shape[-1], *self.shape[:-1]) if self.channels_last else self.shape

    @property
    def where(self) -> str:
        """The place in the network."""
        return self.layer or f"{self.owner or 'forward'} ({self.kind})"


class _Recorder(TorchFunctionMode):
    """Records calls; `path` is the stack of modules that are running."""

    def __init__(self, wanted: Wanted, functions: Functions) -> None:
        super().__init__()
        self.wanted = wanted
        self.functions = functions
        self.path: list[tuple[str, nn.Module]] = []
        self.calls: list[Call] = []
        self.last_weighted: nn.Module | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        kind = self.functions.get(func)
        if kind and self.path and not self.wanted(self.path[-1][1]):
            first = args[0] if args else named.pop("input")
            self._add("", kind, first, args[1:], named)
        return func(*args, **(kwargs or {}))

    def enter(self, name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A module begins to run."""
        if inputs and isinstance(inputs[0], Tensor) and self.wanted(layer):
            self._add(name, type(layer).__name__, inputs[0], (), {})
        self.path.append((name, layer))

    def leave(self, layer: nn.Module) -> None:
        """A module has run."""
        self.path.pop()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            self.last_weighted = layer

    def _add(self, name: str, kind: str, x: Tensor, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        owner = self.path[-1][0] if self.path else ""
        last = isinstance(self.last_weighted, nn.Linear) and x.dim() > 2
        self.calls.append(Call(owner, name, kind, tuple(x.shape[1:]), last, arguments, keywords))


@contextmanager
def tested(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients; afterwards every module has its own mode again."""
    modes = {layer: layer.training for layer in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def record(network: nn.Module, shape: Sequence[int], wanted: Wanted, functions: Functions | None = None) -> list[Call]:
    """The calls of the wanted layers, and of functions outside of these, in a pass of one image of `shape`.

    Whatever the network raises for such an image passes through.
    """
    recorder = _Recorder(wanted, functions or {})
    handles = []
    for name, layer in network.named_modules():
        handles.append(layer.register_forward_pre_hook(_entering(recorder, name)))
        handles.append(layer.register_forward_hook(lambda layer, _inputs, _output: recorder.leave(layer)))
    try:
        with tested(network), recorder:
            network(torch.zeros(1, *shape))
    finally:
        for handle in handles:
            handle.remove()
    return recorder.calls


def _entering(recorder: _Recorder, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda layer, inputs: recorder.enter(name, layer, inputs)
