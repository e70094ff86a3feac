"""The interface of search methods: options that can be written down, and a state that turns results into proposals."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from raysweep.errors import RaysweepError, unknown
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.space import Generator
from raysweep.registry import Registry

A = TypeVar("A")


@dataclass(frozen=True)
class Candidate(Generic[A]):
    """An architecture that a method wants evaluated."""

    architecture: A
    fidelity: float | None = None
    """Epochs to train for, or with a supernet minibatches to score on. None: the default of `evaluate`."""


class Proposer(Protocol[A]):
    """The state of a method. It depends only on the calls so far, with no other source of change or randomness."""

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """The next candidate. None, with the state unchanged, if it depends on a result that is still outstanding.

        If nothing is in flight, None means that the space is exhausted.
        """
        ...

    def observe(self, result: Evaluated[A]) -> None:
        """Take in the result of a proposal. Results arrive in order of completion."""
        ...


class Method(Protocol):
    """The options of a search method: a frozen dataclass, see `method_text`."""

    def begin(self, space: Any) -> Proposer[Any]:
        """The state at the start of a search.

        Raises:
            RaysweepError: the space lacks what the method needs.
        """
        ...


METHODS: Registry[Callable[..., Method]] = Registry("search method")


@cache
def methods() -> Registry[Callable[..., Method]]:
    """The registry, with every file of `raysweep.nas.methods` imported."""
    package = importlib.import_module("raysweep.nas.methods")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{found.name}")
    return METHODS


def make_method(method: str | Method, options: dict[str, Any] | None = None) -> Method:
    """The method of that name with these options; a method object is returned unchanged.

    Raises:
        RaysweepError: no such method, or an option that it does not have.
    """
    options = options or {}
    if not isinstance(method, str):
        if options:
            raise RaysweepError(
                f"cannot apply the options {', '.join(options)} to a method object: pass them to "
                f"{type(method).__name__}(...), or give the method by name."
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
    """Check that a space has these attributes.

    Raises:
        RaysweepError: names the first missing one.
    """
    for part in parts:
        if not hasattr(space, part):
            raise RaysweepError(f"{method} needs a space with `{part}`, which {type(space).__name__} does not have.")


SUPERNET_OPTIONS = ("epochs", "rewards", "sampled", "batches", "rescored")
ALWAYS_WRITTEN = {
    "Evolution": ("population", "sample", "aging", "age", "replacement", "distinct"),
    "Reinforce": ("controller", "lr", "aggregate", "entropy"),
    "SuccessiveHalving": ("inner", "lowest", "highest", "eta"),
    "RandomWeightSharing": SUPERNET_OPTIONS,
    "Enas": (*SUPERNET_OPTIONS, "controller", "lr"),
}
"""Options that `method_text` writes even at their defaults, because logs and names of searches were first made so.

Complete: an option that is added later is not added here.
"""


def method_text(method: Any) -> str:
    """The identity of a method: its class and the options that differ from their defaults.

    A new option with a neutral default therefore leaves the names and logs of existing searches valid.
    """
    if not is_dataclass(method):
        return repr(method)
    return f"{type(method).__qualname__}({', '.join(_written(method))})"


def _written(method: Any) -> Iterator[str]:
    always = ALWAYS_WRITTEN.get(type(method).__qualname__, ())
    for option in fields(method):
        value = getattr(method, option.name)
        if option.name in always or value != _default(option):
            yield f"{option.name}={method_text(value)}"


def _default(option: Field[Any]) -> Any:
    return option.default if option.default_factory is MISSING else option.default_factory()
