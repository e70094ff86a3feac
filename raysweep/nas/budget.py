"""The budget of a search in evaluations, epochs, multiply-accumulates or hours, and what it has spent.

Everything is charged: evaluations that diverged or ran out of memory like any other, the time of lost workers, and a
repeated architecture as one evaluation that took no time. Evaluations in flight when a budget of epochs,
multiply-accumulates or hours is reached still finish and count, so compare searches at equal cost, not at their ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysweep.errors import RaysweepError

HOUR_S = 3600.0


@dataclass
class Spent:
    """The amount a search has spent so far."""

    evaluations: int = 0
    epochs: float = 0.0
    macs: float = 0.0
    cost_s: float = 0.0

    @property
    def hours(self) -> float:
        """Hours, summed over all workers."""
        return self.cost_s / HOUR_S


@dataclass(frozen=True)
class Budget:
    """Limits of a search; the first one reached ends it."""

    evaluations: int | None = None
    epochs: float | None = None
    macs: float | None = None
    hours: float | None = None
    """Summed over all workers."""

    def __post_init__(self) -> None:
        limits = {name: limit for name, limit in vars(self).items() if limit is not None}
        if not limits:
            raise RaysweepError("the budget has no limit: give evaluations, epochs, macs or hours.")
        for name, limit in limits.items():
            if not (math.isfinite(limit) and limit > 0):
                raise RaysweepError(f"the budget is {limit} {name}: it must be a finite number above 0.")

    def allows(self, spent: Spent, in_flight: int) -> bool:
        """Whether one more evaluation may start."""
        return not (
            (self.evaluations is not None and spent.evaluations + in_flight >= self.evaluations)
            or (self.epochs is not None and spent.epochs >= self.epochs)
            or (self.macs is not None and spent.macs >= self.macs)
            or (self.hours is not None and spent.hours >= self.hours)
        )


def as_budget(budget: Budget | int) -> Budget:
    """The budget; a plain number is a number of evaluations."""
    return budget if isinstance(budget, Budget) else Budget(evaluations=budget)
