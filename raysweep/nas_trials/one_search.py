"""One of several searches: its `AskTell`, its proposals in progress, and its evaluations as rows of the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raysweep.nas.ask_tell import AskTell
from raysweep.nas.evaluation import Evaluated, Evaluation
from raysweep.nas.history import History

Key = tuple[str, float | None]
"""Identifies an evaluation: the key of the architecture, and the fidelity."""


@dataclass(frozen=True)
class Found:
    """The results of a search so far."""

    name: str
    """Its name in the store."""
    method: str
    """The method with the options that differ from their defaults."""
    seed: int
    stem: str
    """Prefix of the names of its proposals."""
    history: History[Any]
    trial: str | None = None
    """Trial of the best architecture. None with a supernet, or if no evaluation has finished."""
    has_room: bool = False
    """Whether it ended before its budget because the space is exhausted."""

    @property
    def has_finished(self) -> bool:
        """Whether any evaluation has finished."""
        return any(one.status == "finished" for one in self.history.evaluations)

    @property
    def variant(self) -> str:
        """The name of the best architecture in the results."""
        return variant(self.stem, self.history.best.number)


def variant(stem: str, number: int) -> str:
    """The name of a proposal in the results."""
    return f"{stem}-{number:03}"


@dataclass
class Search:
    """A search of one method with one seed."""

    name: str
    """Its name in the store."""
    method: str
    """The method with the options that differ from their defaults."""
    seed: int
    asking: AskTell[Any]
    running: int = 0
    """Number of proposals handed out by this driver that have not ended."""
    trials: dict[int, str] = field(default_factory=dict)
    """Proposal -> its trial."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the evaluations so far."""
    first: dict[Key, str | None] = field(default_factory=dict)
    """The trial of each real evaluation, which repeated architectures refer to."""

    @property
    def turn(self) -> tuple[int, int]:
        """Sort key: the search with the fewest proposals in progress, then with the fewest evaluations, comes first."""
        return self.running, self.asking.spent.evaluations

    def trial(self, one: Evaluated[Any]) -> str | None:
        """The trial behind an evaluation."""
        return (one.reused and self.first.get((one.key, one.fidelity))) or self.trials.get(one.number)

    @property
    def stem(self) -> str:
        """Prefix of the names of its proposals."""
        return f"{self.method}-s{self.seed}"

    def found(self) -> Found:
        """The results so far."""
        history, room = self.asking.history(), not self.asking.in_flight and self.expected_left() > 0
        found = Found(self.name, self.method, self.seed, self.stem, history, has_room=room)
        return replace(found, trial=self.trial(history.best)) if found.has_finished else found

    def tell(self, number: int, issued_s: float, evaluation: Evaluation | None, cost_s: float) -> None:
        """Report that a proposal has ended; without an evaluation it was lost.

        The clock of a search advances by the duration of trials, from the time they were proposed. It stands still
        while the driver is down or other searches occupy all workers, and it does not depend on when a result is
        reported.
        """
        clock_s = max(self.asking.clock_s, issued_s + cost_s)
        if evaluation is None:
            self.asking.lose(number, cost_s, clock_s)
            while self.asking.lose(number, 0.0, clock_s):
                pass  # the trial itself has been retried: use up the attempts
        else:
            self.asking.tell(number, evaluation, clock_s)

    def add_rows(self, trials: Mapping[str, Mapping[str, Any]], shared: Mapping[str, Any]) -> None:
        """Add a row for each new evaluation. `trials` are rows of the store; `shared` are columns of every row."""
        about = {**shared, "search": self.name, "method": self.method, "seed": self.seed}
        for place, one in enumerate(self.asking.evaluations[len(self.rows) :], len(self.rows)):
            trial = self.trial(one)
            stored = trials.get(trial or "", {})
            own = {
                "architecture": str(one.architecture),
                "value": one.value if math.isfinite(one.value) else None,
                "trial": trial,
                "params": stored.get("params"),
                "macs": stored.get("macs"),
            }
            self.first.setdefault((one.key, one.fidelity), trial)
            self.rows.append({**about, "place": place, **vars(one), **own})

    def expected_left(self) -> int:
        """Estimated number of further evaluations within the budget, from the mean cost so far."""
        budget, spent, flying = self.asking.budget, self.asking.spent, len(self.asking.in_flight)
        left = [] if budget.evaluations is None else [budget.evaluations - spent.evaluations]
        for limit, used in ((budget.epochs, spent.epochs), (budget.macs, spent.macs), (budget.hours, spent.hours)):
            if limit is not None:
                left.append(math.ceil(spent.evaluations * (limit - used) / used) if used else 1 + flying)
        return max(0, min(left) - flying)
