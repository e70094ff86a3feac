"""Tournament evolution, regularized by age or not.

Real, Aggarwal, Huang & Le 2019 ("Regularized evolution for image classifier architecture search", arXiv 1802.01548).
The order of steps is that of the reference notebook (google-research, `regularized_evolution.ipynb`): a population of
random architectures; then the best of a few drawn from it is mutated, the child joins and the oldest leaves.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate, need
from raysweep.nas.space import Generator, Space

A = TypeVar("A")
TRIES = 100
"""Children drawn in a row that equal earlier proposals, after which one of them is proposed all the same."""


@METHODS.add("evolution", "mutates the best of a few drawn from a population", "Real et al. 2019, arXiv 1802.01548")
@dataclass(frozen=True)
class Evolution:
    """How evolution goes.

    The defaults suit a few hundred evaluations: 30, 15 and distinct children did best of what was tried on a made-up
    table. Real et al. took a population of 100 and samples of 25 for 20,000, and children as they came. A population
    should outnumber the workers.
    """

    population: int = 30
    sample: int = 15
    """Drawn for each tournament."""
    aging: bool = True
    """The oldest leaves the population; otherwise the worst, the older one of equals."""
    age: Literal["completion", "proposal"] = "completion"
    """What makes an individual old: when it was evaluated, or when it was proposed."""
    replacement: bool = True
    """Whether one individual may be drawn twice for a tournament, as in the reference notebook."""
    distinct: bool = True
    """A child that equals an earlier proposal is drawn anew, parent and all."""

    def __post_init__(self) -> None:
        if self.population < 1 or self.sample < 1:
            raise RaysweepError(f"population {self.population}, sample {self.sample}: both must be 1 or more.")
        if not self.replacement and self.sample > self.population:
            raise RaysweepError(f"a sample of {self.sample} without replacement from {self.population}: at most that.")
        if self.age not in ("completion", "proposal"):
            raise RaysweepError(f"age {self.age!r}: it is by completion or proposal.")

    def begin(self, space: Space[A]) -> EvolutionProposer[A]:
        """An empty population."""
        need(space, ("mutate",), "evolution")
        return EvolutionProposer(self, space)


class EvolutionProposer(Generic[A]):
    """State of `evolution`: the population, first to leave first. Parents are taken from what is evaluated."""

    def __init__(self, options: Evolution, space: Space[A]) -> None:
        self.options = options
        self.space = space
        self.proposed: set[str] = set()
        self.num_observed = 0
        self.population: list[tuple[float, int, Evaluated[A]]] = []

    def propose(self, rng: Generator) -> Candidate[A]:
        """A random one until the population is complete, then the child of a tournament's winner.

        With many workers more random ones are proposed than the population has. Children of the first to end would
        descend from the fastest, which are seldom the best.
        """
        random = self.num_observed < self.options.population
        architecture = self.space.sample(rng) if random else self._child(rng)
        self.proposed.add(self.space.key(architecture))
        return Candidate(architecture)

    def observe(self, result: Evaluated[A]) -> None:
        """It joins the population, with the lowest value if it failed; a lost one says nothing and does not."""
        if result.status == "lost":
            return
        self.num_observed += 1
        age = self.num_observed if self.options.age == "completion" else result.number
        insort(self.population, (0.0 if self.options.aging else result.value, age, result), key=lambda one: one[:2])
        if len(self.population) > self.options.population:
            del self.population[0]

    def _child(self, rng: Generator) -> A:
        child = self.space.mutate(self._parent(rng).architecture, rng)
        for _ in range(TRIES if self.options.distinct else 0):
            if self.space.key(child) not in self.proposed:
                break
            child = self.space.mutate(self._parent(rng).architecture, rng)
        return child

    def _parent(self, rng: Generator) -> Evaluated[A]:
        size = len(self.population)
        if self.options.replacement:
            drawn = rng.integers(size, size=self.options.sample)
        else:
            drawn = rng.choice(size, min(self.options.sample, size), replace=False)
        # The first drawn of equals, as in the notebook.
        return max((self.population[at][2] for at in drawn.tolist()), key=lambda one: one.value)
