"""One search among others: its conversation, what of it is under way, and its evaluations as rows of the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raysweep.nas.ask_tell import AskTell
from raysweep.nas.evaluation import Evaluated, Evaluation
from raysweep.nas.history import History

Key = tuple[str, float | None]
"""Of what is evaluated: the architecture's key and the fidelity."""


@dataclass(frozen=True)
class Found:
    """What a search has found so far."""

    name: str
    """In the store."""
    method: str
    """With the options that are not its defaults."""
    seed: int
    stem: str
    """What names of its proposals begin with."""
    history: History[Any]
    trial: str | None = None
    """Of the best; none where weights are shared, or there is no best."""
    has_room: bool = False
    """Whether its budget would allow more, and its space has no more."""

    @property
    def has_finished(self) -> bool:
        """Whether there is a best one."""
        return any(one.status == "finished" for one in self.history.evaluations)

    @property
    def variant(self) -> str:
        """The name of the best in the results."""
        return variant(self.stem, self.history.best.number)


def variant(stem: str, number: int) -> str:
    """A proposal's name in the results."""
    return f"{stem}-{number:03}"


@dataclass
class Search:
    """A method with a seed on a space."""

    name: str
    """In the store."""
    method: str
    """With the options that are not its defaults."""
    seed: int
    asking: AskTell[Any]
    running: int = 0
    """Proposals handed out by this driver that have not ended."""
    trials: dict[int, str] = field(default_factory=dict)
    """Proposal -> its trial."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of the evaluations so far."""
    first: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """The row of what was evaluated, which equal architectures share."""

    @property
    def turn(self) -> tuple[int, int]:
        """Who has the least under way, then who has done the least, is asked first."""
        return self.running, self.asking.spent.evaluations

    def trial(self, one: Evaluated[Any]) -> str | None:
        """The trial that was trained for an evaluation."""
        known = self.first.get((one.key, one.fidelity), {}) if one.reused else {}
        return known.get("trial") or self.trials.get(one.number)

    @property
    def stem(self) -> str:
        """What names of its proposals begin with."""
        return f"{self.method}-s{self.seed}"

    def found(self) -> Found:
        """What it has found so far."""
        history, room = self.asking.history(), not self.asking.in_flight and self.expected_left() > 0
        found = Found(self.name, self.method, self.seed, self.stem, history, has_room=room)
        return replace(found, trial=self.trial(history.best)) if found.has_finished else found

    def variant(self, number: int) -> str:
        """A proposal's name in the results."""
        return variant(self.stem, number)

    def tell(self, number: int, issued_s: float, evaluation: Evaluation | None, cost_s: float) -> None:
        """A proposal has ended; without an evaluation it was lost.

        The clock of a search goes on by what trials took, from when they were proposed: it stands still while the
        driver is down and while other searches have all workers, and it is the same for a result that was told late.
        """
        clock_s = max(self.asking.clock_s, issued_s + cost_s)
        if evaluation is None:
            self.asking.give_up(number, cost_s, clock_s)
        else:
            self.asking.tell(number, evaluation, clock_s)

    def add_rows(self, trials: Mapping[str, Mapping[str, Any]], shared: Mapping[str, Any]) -> None:
        """Add a row for each evaluation that has none yet; `trials` are the store's rows, `shared` of every row."""
        for place, evaluated in enumerate(self.asking.evaluations[len(self.rows) :], len(self.rows)):
            own = self._row(evaluated, trials)
            about = {"search": self.name, "method": self.method, "seed": self.seed, "place": place}
            self.rows.append({**shared, **about, **own})

    def _row(self, one: Evaluated[Any], trials: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        trial = self.trial(one)
        stored = trials.get(trial or "", {})
        row = vars(one) | {
            "architecture": str(one.architecture),
            "value": one.value if math.isfinite(one.value) else None,
            "trial": trial,
            "params": stored.get("params"),
            "macs": stored.get("macs"),
        }
        self.first.setdefault((one.key, one.fidelity), row)
        return row

    def expected_left(self) -> int:
        """How many more evaluations the budget is likely to allow, by what those so far have cost."""
        budget, spent, flying = self.asking.budget, self.asking.spent, len(self.asking.in_flight)
        left = [] if budget.evaluations is None else [budget.evaluations - spent.evaluations]
        for limit, used in ((budget.epochs, spent.epochs), (budget.macs, spent.macs), (budget.hours, spent.hours)):
            if limit is not None:
                left.append(math.ceil(spent.evaluations * (limit - used) / used) if used else 1 + flying)
        return max(0, min(left) - flying)
