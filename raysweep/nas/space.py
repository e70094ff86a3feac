"""The interface of search spaces: random architectures, small changes, an integer code, and a key for equal ones."""

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
"""Draws rejected in a row by a constraint after which the space counts as empty."""


class Space(Protocol[A]):
    """Any object with these methods is a space. Architectures are immutable, and `str` gives their readable form.

    Logs record the `name` of a space, or its type if it has no name.
    """

    def sample(self, rng: Generator) -> A:
        """A random architecture."""
        ...

    def mutate(self, architecture: A, rng: Generator) -> A:
        """A random small change of an architecture."""
        ...

    def neighbours(self, architecture: A) -> Sequence[A]:
        """All architectures that differ in one change."""
        ...

    def encode(self, architecture: A) -> tuple[int, ...]:
        """The architecture as one number per decision."""
        ...

    def key(self, architecture: A) -> str:
        """A text that equal architectures share, however they are written."""
        ...


@dataclass(frozen=True)
class Decision:
    """One of the decisions that make up an architecture."""

    name: str
    options: tuple[str, ...]
    kind: Literal["operation", "input", "skip"] = "operation"
    """`input`: selects one of the earlier states; the first option is state 0."""
    part: str = ""
    """The part of the architecture, such as a cell, that it belongs to."""
    node: int = 0
    """The node that it defines; each part numbers its nodes from 0."""


class DecisionSpace(Space[A], Protocol[A]):
    """A space whose architectures are a fixed number of decisions, as a controller needs."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, in order."""
        ...

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code; the inverse of `encode`.

        Raises:
            RaysweepError: the architecture is not in the space.
        """
        ...


class Decisions(ABC, Generic[A]):
    """A space of independent decisions.

    A sample draws each decision uniformly. A mutation picks one decision uniformly and changes it to a different
    option, uniformly; with probability `identity` it changes nothing. If `is_valid` rejects the result, both draw
    again, so the relative probabilities of valid architectures stay.
    """

    identity: float = 0.0

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, in order."""

    @abstractmethod
    def build(self, code: Sequence[int]) -> A:
        """The architecture of a code, valid or not."""

    @abstractmethod
    def encode(self, architecture: A) -> tuple[int, ...]:
        """The option chosen in each decision."""

    @abstractmethod
    def key(self, architecture: A) -> str:
        """A text that equal architectures share."""

    def is_valid(self, architecture: A) -> bool:
        """Whether the architecture is in the space; a subclass may exclude some."""
        return True

    def decode(self, code: Sequence[int]) -> A:
        """The architecture of a code.

        Raises:
            RaysweepError: an invalid code, or an architecture that is not in the space.
        """
        check_code(code, self.decisions)
        architecture = self.build(code)
        if not self.is_valid(architecture):
            raise RaysweepError(f"{architecture} is not in the space {space_name(self)}: it violates a constraint.")
        return architecture

    def sample(self, rng: Generator) -> A:
        """A random architecture.

        Raises:
            RaysweepError: none found that satisfies the constraints.
        """
        sizes = [len(decision.options) for decision in self.decisions]
        return self._first_valid(lambda: self.build(rng.integers(0, sizes).tolist()))

    def mutate(self, architecture: A, rng: Generator) -> A:
        """The architecture with one decision changed, or unchanged with probability `identity`.

        Raises:
            RaysweepError: no change found that satisfies the constraints.
        """
        if self.identity and rng.random() < self.identity:
            return architecture
        code = self.encode(architecture)
        return self._first_valid(lambda: self.build(self._changed(code, rng)))

    def neighbours(self, architecture: A) -> list[A]:
        """All valid architectures with one decision changed, in order."""
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
            f"none of {TRIES:,} random architectures of {space_name(self)} satisfies its constraints: relax them."
        )


def check_code(code: Sequence[int], decisions: Sequence[Decision]) -> None:
    """Check that a code has one valid number per decision.

    Raises:
        RaysweepError: it has not.
    """
    sizes = [len(decision.options) for decision in decisions]
    if len(code) != len(sizes) or not all(0 <= at < size for at, size in zip(code, sizes, strict=True)):
        raise RaysweepError(
            f"invalid code {tuple(code)}: it must be {len(sizes)} numbers below {', '.join(map(str, sizes))}."
        )


def space_name(space: Any) -> str:
    """The name of a space in logs."""
    return str(getattr(space, "name", type(space).__name__))


def randomness(seed: int, number: int) -> Generator:
    """The random numbers of one proposal: a function of the seed and the number of the proposal only.

    Philox is counter-based, so streams do not overlap (Salmon et al. 2011, "Parallel random numbers: as easy as
    1, 2, 3").
    """
    return np.random.Generator(np.random.Philox(key=np.array((seed, number), dtype=np.uint64)))
