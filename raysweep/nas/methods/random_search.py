"""Random search, with or without repetition.

Li and Talwalkar 2019 ("Random search and reproducibility for neural architecture search", arXiv 1902.07638): the
baseline that every other method must beat at equal cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate
from raysweep.nas.space import Generator, Space

A = TypeVar("A")
PAPER = "Li & Talwalkar 2019, arXiv 1902.07638"
TRIES = 10_000
"""Known architectures drawn in a row, after which the space counts as exhausted."""


@METHODS.add("random", "independent samples of the space", PAPER)
@dataclass(frozen=True)
class RandomSearch:
    """Proposal k is sample k, regardless of results."""

    def begin(self, space: Space[A]) -> RandomProposer[A]:
        """A state without memory."""
        return RandomProposer(space)


class RandomProposer(Generic[A]):
    """State of `random`: empty."""

    def __init__(self, space: Space[A]) -> None:
        self.space = space

    def propose(self, rng: Generator) -> Candidate[A]:
        """A sample."""
        return Candidate(self.space.sample(rng))

    def observe(self, result: Evaluated[A]) -> None:
        """Ignore the result."""


@METHODS.add("random_dedup", "samples of the space without repetition", PAPER)
@dataclass(frozen=True)
class RandomDedup:
    """Samples that differ from all earlier ones."""

    def begin(self, space: Space[A]) -> DedupProposer[A]:
        """The state before the first proposal."""
        return DedupProposer(space)


class DedupProposer(Generic[A]):
    """State of `random_dedup`: the keys proposed so far."""

    def __init__(self, space: Space[A]) -> None:
        self.space = space
        self.seen: set[str] = set()

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """A sample with a new key. None if there seems to be no other."""
        for _ in range(TRIES):
            architecture = self.space.sample(rng)
            if (key := self.space.key(architecture)) not in self.seen:
                self.seen.add(key)
                return Candidate(architecture)
        return None

    def observe(self, result: Evaluated[A]) -> None:
        """Ignore the result."""
