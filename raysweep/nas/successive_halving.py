"""Successive halving over any other method: short trainings for all, longer ones for the better of them.

Li et al. 2020 ("A system for massively parallel hyperparameter tuning", arXiv 1810.05934), the asynchronous form:
whoever is in the best 1/eta of a rung goes on to the next one as soon as that is known, and no worker waits. Rungs are
rebuilt from the log like all else, so a search that is resumed has them.
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


@METHODS.add("successive_halving", "longer trainings for the better ones alone", "Li et al. 2020, arXiv 1810.05934")
@dataclass(frozen=True)
class SuccessiveHalving:
    """Rungs, and the method whose proposals climb them.

    The method learns the values of the lowest rung alone: those of different rungs are not comparable.
    """

    inner: str | Method = "random"
    lowest: float = 1.0
    """Epochs of the first rung."""
    highest: float = 27.0
    """Epochs of the last one."""
    eta: int = 3
    """One in so many goes on, to so many times the epochs."""

    def __post_init__(self) -> None:
        if not 0 < self.lowest <= self.highest:
            raise RaysweepError(f"rungs from {self.lowest} to {self.highest} epochs: they begin above 0 and go up.")
        if self.eta < 2:
            raise RaysweepError(f"eta is {self.eta}: it must be 2 or more.")
        if isinstance(make_method(self.inner), SuccessiveHalving):
            raise RaysweepError("successive_halving over successive_halving: name another inner method.")

    @property
    def fidelities(self) -> tuple[float, ...]:
        """Epochs of each rung."""
        rungs = [self.lowest]
        while rungs[-1] * self.eta < self.highest:
            rungs.append(rungs[-1] * self.eta)
        return tuple(rungs) if rungs[-1] == self.highest else (*rungs, self.highest)

    def begin(self, space: Any) -> HalvingProposer[Any]:
        """Empty rungs, and the inner method at its start."""
        return HalvingProposer(self, make_method(self.inner).begin(space))


@dataclass
class Rung(Generic[A]):
    """Who has been trained for so long."""

    fidelity: float
    ranked: list[tuple[float, int, Evaluated[A]]] = field(default_factory=list)
    """Best first; the one that ended first of equals."""
    promoted: set[str] = field(default_factory=set)
    """Keys of those that went on."""

    def next_promotion(self, eta: int) -> Evaluated[A] | None:
        """The best of those that may go on and have not."""
        for _, _, result in self.ranked[: len(self.ranked) // eta]:
            if result.key not in self.promoted and result.status == "finished":
                return result
        return None


class HalvingProposer(Generic[A]):
    """State of `successive_halving`: its rungs, and the state of the inner method."""

    def __init__(self, options: SuccessiveHalving, inner: Proposer[A]) -> None:
        self.options = options
        self.inner = inner
        self.rungs: list[Rung[A]] = [Rung(fidelity) for fidelity in options.fidelities]

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """The promotion to the highest rung that there is, else a new one on the lowest."""
        for rung, above in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            if (result := rung.next_promotion(self.options.eta)) is not None:
                rung.promoted.add(result.key)
                return Candidate(result.architecture, above.fidelity)
        candidate = self.inner.propose(rng)
        return candidate and replace(candidate, fidelity=self.rungs[0].fidelity)

    def observe(self, result: Evaluated[A]) -> None:
        """Rank it on its rung; equal architectures are ranked once."""
        rung = next(rung for rung in self.rungs if rung.fidelity == result.fidelity)
        if rung is self.rungs[0]:
            self.inner.observe(result)
        if not result.reused:
            insort(rung.ranked, (-result.value, len(rung.ranked), result), key=lambda one: one[:2])
