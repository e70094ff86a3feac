"""Any space without the architectures that are too large or too costly, by whatever knows their cost.

Spaces whose costs are arithmetic have limits of their own; this is for costs that must be asked for, as those of a
network that a recipe describes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.limits import Limits, NetworkCost
from raysweep.nas.space import Decision, Generator, space_name

A = TypeVar("A")
TRIES = 1000
"""Draws in a row that the limits refuse, after which the space is taken to be empty: each may have been built."""


@dataclass(frozen=True)
class Limited(Generic[A]):
    """A space within limits: what breaks them is drawn anew, and is no neighbour.

    The probabilities of the others stay in proportion.
    """

    space: Any
    limits: Limits
    cost: Callable[[A], NetworkCost]
    """May raise a RaysweepError where a network cannot be built: then the space has not got it."""

    @property
    def name(self) -> str:
        """Of the space, with its limits."""
        return f"{space_name(self.space)}{self.limits}"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the space."""
        found: tuple[Decision, ...] = self.space.decisions
        return found

    def holds(self, architecture: A) -> bool:
        """Whether it can be built and is within the limits."""
        try:
            return self.limits.hold(self.cost(architecture))
        except RaysweepError:
            return False

    def sample(self, rng: Generator) -> A:
        """A random architecture.

        Raises:
            RaysweepError: none found within the limits.
        """
        return self._first(lambda: self.space.sample(rng))

    def mutate(self, architecture: A, rng: Generator) -> A:
        """A random small change.

        Raises:
            RaysweepError: none found within the limits.
        """
        return self._first(lambda: self.space.mutate(architecture, rng))

    def neighbours(self, architecture: A) -> list[A]:
        """Those of the space that are within the limits."""
        return [other for other in self.space.neighbours(architecture) if self.holds(other)]

    def encode(self, architecture: A) -> tuple[int, ...]:
        """As the space does."""
        code: tuple[int, ...] = self.space.encode(architecture)
        return code

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code.

        Raises:
            RaysweepError: the space has no such code, or it is beyond the limits.
        """
        architecture: A = self.space.decode(code)
        if not self.holds(architecture):
            raise RaysweepError(f"{architecture} is not within the limits of {self.name}.")
        return architecture

    def key(self, architecture: A) -> str:
        """As the space does."""
        return str(self.space.key(architecture))

    def _first(self, draw: Callable[[], A]) -> A:
        for _ in range(TRIES):
            if self.holds(architecture := draw()):
                return architecture
        raise RaysweepError(f"{TRIES:,} architectures drawn from {self.name}, none within its limits: widen them.")
