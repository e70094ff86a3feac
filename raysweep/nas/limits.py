"""Upper bounds on the size and the cost of the networks of a search space.

def cost(genotype):
    return find_cost(patch(recipe, {"network.genotype": str(genotype)}))  # raysweep.cost

space = Limited(cell_space("nasnet"), Limits(max_params=3_300_000), cost)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.space import Decision, Generator, space_name

A = TypeVar("A")
TRIES = 1000
"""Draws rejected in a row after which the space counts as empty. Each of them may have been built."""


class NetworkCost(Protocol):
    """The cost of one network, such as a `raysweep.cost.Cost`."""

    @property
    def params(self) -> int:
        """Number of trained parameters."""
        ...

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and fully connected layers, one image, forward."""
        ...


@dataclass(frozen=True)
class Limits:
    """The largest number of parameters and of multiply-accumulates a network may have."""

    max_params: int | None = None
    max_macs: int | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and limit < 1:
                raise RaysweepError(f"{name} is {limit}: it must be 1 or more.")

    def allow(self, cost: NetworkCost) -> bool:
        """Whether a network of this cost is within the limits."""
        return (self.max_params is None or cost.params <= self.max_params) and (
            self.max_macs is None or cost.macs <= self.max_macs
        )

    def __str__(self) -> str:
        """The suffix of the name of a limited space."""
        return "".join(f" {name}={limit}" for name, limit in vars(self).items() if limit is not None)


no_limits = Limits()


@dataclass(frozen=True)
class Limited(Generic[A]):
    """A space without the architectures that exceed the limits: they are neither sampled nor neighbours.

    A sample or mutation that exceeds the limits is drawn again, so the relative probabilities of the others stay.
    """

    space: Any
    limits: Limits
    cost: Callable[[A], NetworkCost]
    """Returns the cost of an architecture. A RaysweepError means that it cannot be built; it is then excluded too."""

    @property
    def name(self) -> str:
        """The name of the space, followed by its limits."""
        return f"{space_name(self.space)}{self.limits}"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions of the space."""
        found: tuple[Decision, ...] = self.space.decisions
        return found

    def allows(self, architecture: A) -> bool:
        """Whether the architecture can be built and is within the limits."""
        try:
            return self.limits.allow(self.cost(architecture))
        except RaysweepError:
            return False

    def sample(self, rng: Generator) -> A:
        """A random architecture.

        Raises:
            RaysweepError: none found within the limits.
        """
        return self._first(lambda: self.space.sample(rng))

    def mutate(self, architecture: A, rng: Generator) -> A:
        """A random small change of an architecture.

        Raises:
            RaysweepError: none found within the limits.
        """
        return self._first(lambda: self.space.mutate(architecture, rng))

    def neighbours(self, architecture: A) -> list[A]:
        """The neighbours within the limits."""
        return [other for other in self.space.neighbours(architecture) if self.allows(other)]

    def encode(self, architecture: A) -> tuple[int, ...]:
        """The code of an architecture in the space."""
        code: tuple[int, ...] = self.space.encode(architecture)
        return code

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code.

        Raises:
            RaysweepError: an invalid code, or an architecture that exceeds the limits.
        """
        architecture: A = self.space.decode(code)
        if not self.allows(architecture):
            raise RaysweepError(f"{architecture} exceeds the limits of {self.name}.")
        return architecture

    def key(self, architecture: A) -> str:
        """The key of an architecture in the space."""
        return str(self.space.key(architecture))

    def _first(self, draw: Callable[[], A]) -> A:
        for _ in range(TRIES):
            if self.allows(architecture := draw()):
                return architecture
        raise RaysweepError(
            f"{self.name}: none of {TRIES:,} random architectures is within the limits. Raise the limits."
        )
