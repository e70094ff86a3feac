"""Hours of a number of workers: what is used, and what is left once the running trials have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

MOST_SLACK = 1.05
"""A run may be predicted to end this much after the end of the budget: predictions are no better than that."""


@dataclass
class Budget:
    """A number of seconds by the clock on `workers` workers; `used_before_s` of them were used by earlier processes."""

    seconds: float
    workers: int = 1
    used_before_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def used_s(self) -> float:
        """Seconds used, by this process and earlier ones."""
        return self.used_before_s + self.clock() - self.begun

    def part(self, share: float) -> Budget:
        """The first part of the budget, with the same clock."""
        part = replace(self, seconds=self.seconds * share)
        part.begun = self.begun
        return part

    def has_time_for(self, seconds: float) -> bool:
        """Whether a run that takes so long, started now, ends within the budget."""
        return self.used_s + seconds <= self.seconds * MOST_SLACK

    def left_s(self, running: Iterable[tuple[float, float]]) -> float:
        """Seconds of one worker that are left after the running trials: (start by the clock, predicted seconds)."""
        now = self.clock()
        taken = sum(max(0.0, begun + seconds - now) for begun, seconds in running)
        return max(0.0, (self.seconds - self.used_s) * self.workers - taken)
