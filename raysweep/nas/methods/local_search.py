"""Local search: move to the first better neighbour found, and restart from a random architecture at every summit.

White, Nolen & Savani 2021 ("Exploring the loss landscape in neural architecture search", arXiv 2005.02960), in the
variant that does not evaluate all neighbours first, so that no worker waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate, need
from raysweep.nas.space import Generator, Space

A = TypeVar("A")
TRIES = 1000
"""Known architectures drawn in a row for a restart, after which the space counts as exhausted."""


@METHODS.add("local_search", "climbs from neighbour to better neighbour", "White et al. 2021, arXiv 2005.02960")
@dataclass(frozen=True)
class LocalSearch:
    """Neighbours are tried in random order, and no architecture is proposed twice."""

    def begin(self, space: Space[A]) -> LocalProposer[A]:
        """The state before the first climb."""
        need(space, ("neighbours",), "local_search")
        return LocalProposer(space)


@dataclass
class Climb(Generic[A]):
    """One climb: its present architecture, and the neighbours of that."""

    centre: Evaluated[A] | None = None
    around: list[tuple[str, A]] = field(default_factory=list)
    """The neighbours of the centre, with their keys."""
    in_flight: int = 0
    """Number of proposals of this climb that have not ended."""


class LocalProposer(Generic[A]):
    """State of `local_search`: the climbs in progress. When they have nothing left to try, another one begins."""

    def __init__(self, space: Space[A]) -> None:
        self.space = space
        self.climbs: list[Climb[A]] = []
        self.owners: dict[str, Climb[A]] = {}
        """Key of every proposal so far -> the climb that made it."""

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """A neighbour that was never proposed, from the oldest climb that has one; otherwise a restart."""
        for climb in self.climbs:
            if fresh := self._fresh(climb):
                return self._candidate(climb, *fresh[int(rng.integers(len(fresh)))])
        for _ in range(TRIES):
            architecture = self.space.sample(rng)
            if (key := self.space.key(architecture)) not in self.owners:
                self.climbs.append(Climb())
                return self._candidate(self.climbs[-1], key, architecture)
        return None

    def observe(self, result: Evaluated[A]) -> None:
        """Move the climb that proposed it there if it is better; end climbs that have nothing left to try."""
        climb = self.owners[result.key]
        climb.in_flight -= 1
        if result.status == "finished" and (climb.centre is None or result.value > climb.centre.value):
            climb.centre = result
            climb.around = [(self.space.key(near), near) for near in self.space.neighbours(result.architecture)]
        self.climbs = [other for other in self.climbs if other.in_flight or self._fresh(other)]

    def _fresh(self, climb: Climb[A]) -> list[tuple[str, A]]:
        return [(key, near) for key, near in climb.around if key not in self.owners]

    def _candidate(self, climb: Climb[A], key: str, architecture: A) -> Candidate[A]:
        self.owners[key] = climb
        climb.in_flight += 1
        return Candidate(architecture)
