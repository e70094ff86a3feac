"""When a sweep will have ended: the images that are left, and how fast they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.planning import PlannedTrial


@dataclass
class Totals:
    """Seconds of the trials whose speed is measured, and work (images x MACs) of the others."""

    rates: float = 0.0
    """Images per second x MACs, over the measured trials."""
    left_s: float = 0.0
    whole_s: float = 0.0
    left_work: float = 0.0
    whole_work: float = 0.0


@dataclass
class Work:
    """Images left and the measured speed of each trial: where the ETA comes from.

    Sums are kept as they change: an ETA that went through ten thousand trials at each of their epochs would hold up the
    sweep.
    """

    planned: Mapping[str, PlannedTrial]
    workers: int
    left: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    """Images per second of wall time, testing included."""
    unknown: int = 0
    """Trials of a search that have not been proposed yet."""
    totals: Totals = field(default_factory=Totals)

    def __post_init__(self) -> None:
        for planned in self.planned.values():
            self.expect(planned)

    @property
    def total(self) -> int:
        """Trials in all."""
        return len(self.left) + self.unknown

    def expect(self, planned: PlannedTrial) -> None:
        """A trial that is still to be trained."""
        self.left[planned.trial] = images_of(planned)
        self._count(planned.trial, 1)

    def add(self, trial: str, row: Mapping[str, Any]) -> None:
        """Take an epoch's row into account."""
        length = self.planned[trial].recipe.length
        images = (row["iteration"] - length.end(row["epoch"] - 1)) * length.batch_size
        self._count(trial, -1)
        self.speed[trial] = images / max(row["wall_s"], 1e-9)
        self.left[trial] = length.iterations * length.batch_size - row["images_seen"]
        self._count(trial, 1)

    def end(self, trial: str) -> None:
        """A trial that has ended has nothing left."""
        self._count(trial, -1)
        self.left[trial] = 0
        self._count(trial, 1)

    def eta_s(self, trial: str | None = None) -> float | None:
        """Seconds until the trial, or the sweep, has ended; None before anything is measured.

        A trial not yet measured is taken to cost time in proportion to its multiply-accumulates, one not yet proposed
        as much as those that have been.
        """
        if not self.speed:
            return None
        if trial is not None:
            return self.left[trial] / self._speed(trial)
        rate = self.totals.rates / len(self.speed)
        left = self.totals.left_s + self.totals.left_work / rate
        whole = self.totals.whole_s + self.totals.whole_work / rate
        return max(0.0, left + self.unknown * whole / len(self.left)) / self.workers

    def _count(self, trial: str, sign: int) -> None:
        """Add a trial to the sums, or take it out before it changes."""
        images, macs = images_of(self.planned[trial]), self._macs(trial)
        if speed := self.speed.get(trial):
            self.totals.rates += sign * speed * macs
            self.totals.left_s += sign * self.left[trial] / speed
            self.totals.whole_s += sign * images / speed
        else:
            self.totals.left_work += sign * self.left[trial] * macs
            self.totals.whole_work += sign * images * macs

    def _speed(self, trial: str) -> float:
        return self.speed.get(trial) or self.totals.rates / len(self.speed) / self._macs(trial)

    def _macs(self, trial: str) -> int:
        return max(1, self.planned[trial].cost.macs)  # 0: a network that cannot be built


def images_of(planned: PlannedTrial) -> int:
    """Training images that a trial sees in all."""
    length = planned.recipe.length
    return length.iterations * length.batch_size
