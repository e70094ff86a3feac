"""What a factor's surgery is given, and what it reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import nn

from raysweep.errors import InapplicableError
from raysweep.nn.surgery.calls import Call, Functions, Wanted, record, tested
from raysweep.nn.surgery.replacing import Make, replace
from raysweep.recipe import NetworkRecipe
from raysweep.safe import command


@dataclass(frozen=True)
class Replaced:
    """What one factor replaced: how many of how many, and where."""

    count: int
    of: int
    what: str
    """Old and new, like `ReLU -> elu`."""
    where: tuple[str, ...] = ()
    """Dotted paths."""

    def __str__(self) -> str:
        """One line for a user, like `17 of 17 ReLU -> elu`."""
        return f"{self.count} of {self.of} {self.what}"


@dataclass
class Operation:
    """A network, the recipe whose factors it is to have, and its own values of these factors."""

    network: nn.Module
    recipe: NetworkRecipe
    own: Mapping[str, Any]
    shape: tuple[int, ...]
    """Shape of its input for one image."""
    done: list[Replaced] = field(default_factory=list)

    def changes(self, *fields: str) -> bool:
        """Whether the recipe has another value of one of these fields than the network."""
        return any(getattr(self.recipe, name) != self.own[name] for name in fields)

    def record(self, wanted: Wanted, functions: Functions | None = None) -> list[Call]:
        """The calls of these layers and functions, see `calls.record`.

        Raises:
            InapplicableError: the network does not run on images of this shape.
        """
        try:
            return record(self.network, self.shape, wanted, functions)
        except Exception as error:
            raise does_not_run(self.recipe, self.own, self.shape, error) from error

    def replace(self, calls: Sequence[Call], make: Make, functions: Functions, new: str, what: str) -> None:
        """Replace what these calls call, and report it. `what` are these calls in words.

        Raises:
            InapplicableError: there are none, or none could be replaced.
        """
        if not calls:
            raise self.inapplicable(what)
        done = self.replaced(calls, make, functions)
        if not done:
            raise InapplicableError(
                f"{self.recipe.name} calls its {what} ({_kinds(calls)}) in code that torch.fx does not trace."
            )
        self.report(done, len(calls), f"{_kinds(done)} -> {new}")

    def replaced(self, calls: Sequence[Call], make: Make, functions: Functions) -> list[Call]:
        """Replace what these calls call, see `replacing.replace`, without a report.

        Raises:
            RaysweepError: the code of a module is traced to something else than it computes.
        """
        return replace(self.network, calls, make, functions, self._run)

    def _run(self) -> None:
        with tested(self.network):
            self.network(torch.linspace(-1, 1, prod(self.shape)).view(1, *self.shape))

    def report(self, done: Sequence[Call], of: int, what: str) -> None:
        """Report replaced calls."""
        self.done.append(Replaced(len(done), of, what, tuple(call.where for call in done)))

    def inapplicable(self, what: str) -> InapplicableError:
        """The error for a factor that finds nothing to act on."""
        return InapplicableError(f"{self.recipe.name} has no {what} to replace.")


def does_not_run(
    recipe: NetworkRecipe, own: Mapping[str, Any], shape: Sequence[int], error: Exception
) -> InapplicableError:
    """The error for a network, with these own values, that raises for images of this shape."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    stem = " ".join(
        command("--set", f"network.{name}={own[name]}")
        for name in ("stem_kernel", "stem_stride")
        if name in own and getattr(recipe, name) != own[name]
    )
    step = f"Keep its own first layer, `{stem}`, or use another data.side" if stem else "Use another data.side"
    images = "x".join(map(str, shape))
    return InapplicableError(f"{recipe.name} does not run on images of {images} with these factors: {first}. {step}.")


def _kinds(calls: Sequence[Call]) -> str:
    return ", ".join(Counter(call.kind for call in calls))
