"""Successive halving on top of any other method: short trainings for all, longer ones for the better ones.

Li et al. 2020 ("A system for massively parallel hyperparameter tuning", arXiv 1810.05934), in its asynchronous form: an
architecture in the best 1/eta of a rung is promoted to the next one as soon as that is known, and no worker waits. Like
the rest of the state, rungs are rebuilt from the log when a search is resumed.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate, Method, Proposer, make_method
from raysweep.nas.space import Generator

A = TypeVar("A")


@METHODS.add(
    "successive_halving", "longer trainings for the better architectures only", "Li et al. 2020, arXiv 1810.05934"
)
@dataclass(frozen=True)
class SuccessiveHalving:
    """The rungs, and the method that proposes architectures for the lowest one.

    That method sees only values of the lowest rung: values of different rungs are not comparable.
    """

    inner: str | Method = "random"
    lowest: float = 1.0
    """Epochs of the first rung."""
    highest: float = 27.0
    """Epochs of the last rung."""
    eta: int = 3
    """Promote 1 in `eta` architectures, to `eta` times the epochs."""

    def __post_init__(self) -> None:
        if not 0 < self.lowest <= self.highest:
            raise RaysweepError(
                f"lowest is {self.lowest} and highest {self.highest}: epochs of rungs must be above 0 and increase."
            )
        if self.eta < 2:
            raise RaysweepError(f"eta is {self.eta}: it must be 2 or more.")
        if isinstance(make_method(self.inner), SuccessiveHalving):
            raise RaysweepError("inner is successive_halving: it cannot be nested. Name another inner method.")

    @property
    def fidelities(self) -> tuple[float, ...]:
        """Epochs of each rung."""
        rungs = [self.lowest]
        while rungs[-1] * self.eta < self.highest:
            rungs.append(rungs[-1] * self.eta)
        return tuple(rungs) if rungs[-1] == self.highest else (*rungs, self.highest)

    def begin(self, space: Any) -> HalvingProposer[Any]:
        """Empty rungs, and the initial state of the inner method."""
        return HalvingProposer(self, make_method(self.inner).begin(space))


@dataclass
class Rung(Generic[A]):
    """The results at one number of epochs."""

    fidelity: float
    ranked: list[tuple[float, int, Evaluated[A]]] = field(default_factory=list)
    """Best first; among equals the one that ended first."""
    promoted: set[str] = field(default_factory=set)
    """Keys of the promoted ones."""

    def next_promotion(self, eta: int) -> Evaluated[A] | None:
        """The best result that qualifies for promotion and has not been promoted."""
        for _, _, result in self.ranked[: len(self.ranked) // eta]:
            if result.key not in self.promoted and result.status == "finished":
                return result
        return None


class HalvingProposer(Generic[A]):
    """State of `successive_halving`: the rungs, and the state of the inner method."""

    def __init__(self, options: SuccessiveHalving, inner: Proposer[A]) -> None:
        self.options = options
        self.inner = inner
        self.rungs: list[Rung[A]] = [Rung(fidelity) for fidelity in options.fidelities]

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """A promotion, to the highest possible rung; otherwise a new architecture on the lowest."""
        for rung, above in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            if (result := rung.next_promotion(self.options.eta)) is not None:
                rung.promoted.add(result.key)
                return Candidate(result.architecture, above.fidelity)
        candidate = self.inner.propose(rng)
        return candidate and replace(candidate, fidelity=self.rungs[0].fidelity)

    def observe(self, result: Evaluated[A]) -> None:
        """Rank the result on its rung; equal architectures are ranked once."""
        rung = next(rung for rung in self.rungs if rung.fidelity == result.fidelity)
        if rung is self.rungs[0]:
            self.inner.observe(result)
        if not result.reused:
            insort(rung.ranked, (-result.value, len(rung.ranked), result), key=lambda one: one[:2])
