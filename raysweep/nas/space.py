"""What a search space offers: random architectures, small changes, a code of numbers, and a key for equal ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from raysweep.errors import RaysweepError

A = TypeVar("A")
Generator = np.random.Generator
TRIES = 10_000
"""Draws in a row that a constraint refuses, after which the space is taken to be empty."""


class Space(Protocol[A]):
    """Any object with these methods is a space; architectures are immutable, and `str` of one is its readable form.

    A space with a `name` is known by it in logs, others by their type.
    """

    def sample(self, rng: Generator) -> A:
        """A random architecture."""
        ...

    def mutate(self, architecture: A, rng: Generator) -> A:
        """A random small change of an architecture."""
        ...

    def neighbours(self, architecture: A) -> Sequence[A]:
        """Every architecture that is one change away."""
        ...

    def encode(self, architecture: A) -> tuple[int, ...]:
        """The architecture as a number for each decision."""
        ...

    def key(self, architecture: A) -> str:
        """A text that equal architectures share, whatever way they are written in."""
        ...


@dataclass(frozen=True)
class Decision:
    """One of the choices that make up an architecture."""

    name: str
    options: tuple[str, ...]
    kind: Literal["operation", "input", "skip"] = "operation"
    """Input: which of the earlier states is taken, the first option being state 0."""
    part: str = ""
    """Of the architecture: the cell that it belongs to."""
    node: int = 0
    """The state that it helps to make; states begin anew in each part."""


class DecisionSpace(Space[A], Protocol[A]):
    """A space in which an architecture is a fixed number of decisions: what a controller needs."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The choices, in order."""
        ...

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code; the inverse of `encode`.

        Raises:
            RaysweepError: the space does not have it.
        """
        ...


class Decisions(ABC, Generic[A]):
    """A space of independent decisions.

    A sample draws each decision uniformly. A mutation picks one decision uniformly and gives it another option,
    uniformly; with probability `identity` it changes nothing. Where `is_valid` refuses architectures, both are drawn
    anew until it does not: the probabilities of the others stay in proportion.
    """

    identity: float = 0.0

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """The choices, in order."""

    @abstractmethod
    def build(self, code: Sequence[int]) -> A:
        """The architecture of a code, whether valid or not."""

    @abstractmethod
    def encode(self, architecture: A) -> tuple[int, ...]:
        """The option taken in each decision."""

    @abstractmethod
    def key(self, architecture: A) -> str:
        """A text that equal architectures share."""

    def is_valid(self, architecture: A) -> bool:
        """Whether the space has it; a subclass may refuse some."""
        return True

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code.

        Raises:
            RaysweepError: no such code, or the space does not have the architecture.
        """
        sizes = [len(decision.options) for decision in self.decisions]
        if len(code) != len(sizes) or not all(0 <= at < size for at, size in zip(code, sizes, strict=True)):
            raise RaysweepError(
                f"code {tuple(code)}: {len(sizes)} numbers below {', '.join(map(str, sizes))} are needed."
            )
        architecture = self.build(code)
        if not self.is_valid(architecture):
            raise RaysweepError(f"{architecture} is not in this space: it breaks a constraint.")
        return architecture

    def sample(self, rng: Generator) -> A:
        """A random architecture.

        Raises:
            RaysweepError: none found that keeps the constraints.
        """
        sizes = [len(decision.options) for decision in self.decisions]
        return self._first_valid(lambda: self.build(rng.integers(0, sizes).tolist()))

    def mutate(self, architecture: A, rng: Generator) -> A:
        """The architecture with one decision changed, or none with probability `identity`.

        Raises:
            RaysweepError: no change found that keeps the constraints.
        """
        if self.identity and rng.random() < self.identity:
            return architecture
        code = self.encode(architecture)
        return self._first_valid(lambda: self.build(self._changed(code, rng)))

    def neighbours(self, architecture: A) -> list[A]:
        """Every valid architecture with one decision changed, in order."""
        near = (self.build(code) for code in self._around(self.encode(architecture)))
        return [other for other in near if self.is_valid(other)]

    def _changed(self, code: tuple[int, ...], rng: Generator) -> tuple[int, ...]:
        at = int(rng.integers(len(code)))
        other = int(rng.integers(len(self.decisions[at].options) - 1))
        return (*code[:at], other + (other >= code[at]), *code[at + 1 :])

    def _around(self, code: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for at, decision in enumerate(self.decisions):
            for option in range(len(decision.options)):
                if option != code[at]:
                    yield (*code[:at], option, *code[at + 1 :])

    def _first_valid(self, draw: Callable[[], A]) -> A:
        for _ in range(TRIES):
            architecture = draw()
            if self.is_valid(architecture):
                return architecture
        raise RaysweepError(
            f"{TRIES:,} architectures drawn from {space_name(self)}, none within its limits: widen them."
        )


def space_name(space: Any) -> str:
    """What a log calls the space."""
    return str(getattr(space, "name", type(space).__name__))


def randomness(seed: int, number: int) -> Generator:
    """The random numbers of one proposal: a function of the seed and the proposal's number alone.

    Philox is counter-based, so no stream runs into another (Salmon et al. 2011, "Parallel random numbers: as easy as
    1, 2, 3").
    """
    return np.random.Generator(np.random.Philox(key=np.array((seed, number), dtype=np.uint64)))
