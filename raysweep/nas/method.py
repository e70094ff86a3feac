"""What a search method is: options that can be written down, and the state that results turn into proposals."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from raysweep.errors import RaysweepError, unknown
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.space import Generator
from raysweep.registry import Registry

A = TypeVar("A")


@dataclass(frozen=True)
class Candidate(Generic[A]):
    """What a method wants evaluated."""

    architecture: A
    fidelity: float | None = None
    """Epochs, or minibatches that it is scored on where weights are shared; none: what `evaluate` takes it to be."""


class Proposer(Protocol[A]):
    """The state of a method: a fold over what it was asked and told, with no other source of change or chance."""

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """The next candidate; none, with the state left as it is, where there is none before another result is in.

        With nothing in flight, none means that the space has no more.
        """
        ...

    def observe(self, result: Evaluated[A]) -> None:
        """Learn how a proposal ended; results come in the order of completion."""
        ...


class Method(Protocol):
    """Options of a search: a frozen dataclass, whose `repr` a log keeps."""

    def begin(self, space: Any) -> Proposer[Any]:
        """The state at the start of a search.

        Raises:
            RaysweepError: the space lacks what the method needs.
        """
        ...


METHODS: Registry[Callable[..., Method]] = Registry("search method")


@cache
def methods() -> Registry[Callable[..., Method]]:
    """The registry with every file of this folder loaded."""
    package = importlib.import_module("raysweep.nas")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{found.name}")
    return METHODS


def make_method(method: str | Method, options: dict[str, Any] | None = None) -> Method:
    """A method by name and options, or as it is.

    Raises:
        RaysweepError: no such method, or it has no such option.
    """
    options = options or {}
    if not isinstance(method, str):
        if options:
            raise RaysweepError(
                f"{', '.join(options)}: give options to {type(method).__name__}(...), or the method by name."
            )
        return method
    make: Any = methods()[method]
    known = [option.name for option in fields(make)]
    for name in options:
        if name not in known:
            raise unknown(f"option of {method}", name, known)
    made: Method = make(**options)
    return made


def need(space: Any, parts: tuple[str, ...], method: str) -> None:
    """Refuse a space that lacks one of these attributes.

    Raises:
        RaysweepError: names the first that is missing.
    """
    for part in parts:
        if not hasattr(space, part):
            raise RaysweepError(f"{method} needs a space with `{part}`, which {type(space).__name__} does not have.")
