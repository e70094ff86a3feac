"""How much a search may spend, in evaluations, epochs, multiply-accumulates or hours, and what it has spent.

Everything is charged: diverged evaluations and those that ran out of memory like any other, the time of workers that
were lost, and an equal architecture proposed again as one evaluation that took no time. What is in flight when a budget
of epochs, multiply-accumulates or hours is reached ends, and is counted: compare searches at equal cost, not at their
ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysweep.errors import RaysweepError

HOUR_S = 3600.0


@dataclass
class Spent:
    """What a search has spent so far."""

    evaluations: int = 0
    epochs: float = 0.0
    macs: float = 0.0
    cost_s: float = 0.0

    @property
    def hours(self) -> float:
        """Hours of all workers together."""
        return self.cost_s / HOUR_S


@dataclass(frozen=True)
class Budget:
    """Limits, whichever is reached first."""

    evaluations: int | None = None
    epochs: float | None = None
    macs: float | None = None
    hours: float | None = None
    """Of all workers together."""

    def __post_init__(self) -> None:
        named = {name: limit for name, limit in vars(self).items() if limit is not None}
        if not named:
            raise RaysweepError("a budget without limits: name evaluations, epochs, macs or hours.")
        for name, limit in named.items():
            if not (math.isfinite(limit) and limit > 0):
                raise RaysweepError(f"a budget of {limit} {name}: it must be more than 0.")

    def allows(self, spent: Spent, in_flight: int) -> bool:
        """Whether one more evaluation may begin."""
        return not (
            (self.evaluations is not None and spent.evaluations + in_flight >= self.evaluations)
            or (self.epochs is not None and spent.epochs >= self.epochs)
            or (self.macs is not None and spent.macs >= self.macs)
            or (self.hours is not None and spent.hours >= self.hours)
        )


def as_budget(budget: Budget | int) -> Budget:
    """A number is one of evaluations."""
    return budget if isinstance(budget, Budget) else Budget(evaluations=budget)
