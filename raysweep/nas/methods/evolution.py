"""Tournament evolution, with or without aging.

Real, Aggarwal, Huang & Le 2019 ("Regularized evolution for image classifier architecture search", arXiv 1802.01548).
The steps follow the reference notebook (google-research, `regularized_evolution.ipynb`): start with a population of
random architectures; then repeatedly mutate the best of a random sample, add the child, and remove the oldest.
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
"""Children drawn in a row that equal earlier proposals, after which one of them is proposed anyway."""


@METHODS.add("evolution", "mutates the best of a few drawn from a population", "Real et al. 2019, arXiv 1802.01548")
@dataclass(frozen=True)
class Evolution:
    """Options of evolution.

    The defaults suit a few hundred evaluations: 30, 15 and distinct children were the best of those tried on a
    synthetic table. Real et al. used a population of 100 and samples of 25 for 20,000 evaluations, and allowed repeated
    children. The population should be larger than the number of workers.
    """

    population: int = 30
    sample: int = 15
    """Size of each tournament."""
    aging: bool = True
    """Remove the oldest individual; otherwise the worst, and the older one among equals."""
    age: Literal["completion", "proposal"] = "completion"
    """Whether age counts from the evaluation or from the proposal of an individual."""
    replacement: bool = True
    """Whether a tournament may draw an individual twice, as in the reference notebook."""
    distinct: bool = True
    """Draw a child again, including its parent, if it equals an earlier proposal."""

    def __post_init__(self) -> None:
        if self.population < 1 or self.sample < 1:
            raise RaysweepError(f"population is {self.population} and sample {self.sample}: both must be 1 or more.")
        if not self.replacement and self.sample > self.population:
            raise RaysweepError(
                f"sample is {self.sample}: without replacement it cannot exceed the population of {self.population}."
            )
        if self.age not in ("completion", "proposal"):
            raise RaysweepError(f"age is {self.age!r}: it must be completion or proposal.")

    def begin(self, space: Space[A]) -> EvolutionProposer[A]:
        """An empty population."""
        need(space, ("mutate",), "evolution")
        return EvolutionProposer(self, space)


class EvolutionProposer(Generic[A]):
    """State of `evolution`: the population, ordered by removal. Parents are always evaluated individuals."""

    def __init__(self, options: Evolution, space: Space[A]) -> None:
        self.options = options
        self.space = space
        self.proposed: set[str] = set()
        self.num_observed = 0
        self.population: list[tuple[float, int, Evaluated[A]]] = []

    def propose(self, rng: Generator) -> Candidate[A]:
        """A random architecture until the population is complete, then the child of a tournament winner.

        With many workers more random architectures are proposed than the population holds. Children of the first to
        finish would descend from the fastest ones, which are rarely the best.
        """
        random = self.num_observed < self.options.population
        architecture = self.space.sample(rng) if random else self._child(rng)
        self.proposed.add(self.space.key(architecture))
        return Candidate(architecture)

    def observe(self, result: Evaluated[A]) -> None:
        """Add the result to the population, with the lowest value if it failed; ignore a lost one."""
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
        # The first drawn among equals, as in the notebook.
        return max((self.population[at][2] for at in drawn.tolist()), key=lambda one: one.value)
