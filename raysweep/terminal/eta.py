"""The ETA of a sweep: images left divided by measured speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.planning import PlannedTrial


@dataclass
class Totals:
    """Sums over trials: seconds of those with a measured speed, work (images x MACs) of the others."""

    rates: float = 0.0
    """Sum of images per second x MACs of the measured trials."""
    left_s: float = 0.0
    whole_s: float = 0.0
    left_work: float = 0.0
    whole_work: float = 0.0


@dataclass
class Work:
    """The images left and the measured speed of each trial, from which the ETA is computed.

    Sums are updated with each event: going through ten thousand trials at every epoch would slow down the sweep.
    """

    planned: Mapping[str, PlannedTrial]
    left: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    """Trial -> images per second of wall time, including testing."""
    unknown: int = 0
    """Number of trials that have not been proposed yet."""
    running: set[str] = field(default_factory=set)
    """Trials that have started and not ended."""
    most_running: int = 0
    """The largest number at once so far, which the ETA assumes for the rest: between two trials one fewer runs."""
    num_ended: int = 0
    totals: Totals = field(default_factory=Totals)

    def __post_init__(self) -> None:
        for planned in self.planned.values():
            self.expect(planned)

    @property
    def total(self) -> int:
        """Total number of trials."""
        return len(self.left) + self.unknown

    def expect(self, planned: PlannedTrial) -> None:
        """Add a trial that is not trained yet."""
        self.left[planned.trial] = planned.share_left * images_of(planned)
        self._count(planned.trial, 1)

    def start(self, trial: str) -> None:
        """Count a trial as running."""
        self.running.add(trial)
        self.most_running = max(self.most_running, len(self.running))

    def add(self, trial: str, row: Mapping[str, Any]) -> None:
        """Update a trial with the row of an epoch."""
        self.start(trial)
        length = self.planned[trial].recipe.length
        images = (row["iteration"] - length.end(row["epoch"] - 1)) * length.batch_size
        self._count(trial, -1)
        self.speed[trial] = images / max(row["wall_s"], 1e-9)
        self.left[trial] = length.iterations * length.batch_size - row["images_seen"]
        self._count(trial, 1)

    def end(self, trial: str) -> None:
        """Set what is left of a trial to nothing."""
        self.running.discard(trial)
        self.num_ended += 1
        self._count(trial, -1)
        self.left[trial] = 0
        self._count(trial, 1)

    def eta_s(self, trial: str | None = None) -> float | None:
        """Seconds until the trial, or the sweep, ends; None until a speed has been measured.

        Assumes that the time of an unmeasured trial is proportional to its multiply-accumulates, and that a trial not
        yet proposed takes as long as the average of the others.
        """
        if not self.speed:
            return None
        if trial is not None:
            return self.left[trial] / self._speed(trial)
        rate = self.totals.rates / len(self.speed)
        left = self.totals.left_s + self.totals.left_work / rate
        whole = self.totals.whole_s + self.totals.whole_work / rate
        return max(0.0, left + self.unknown * whole / len(self.left)) / self._at_once()

    def _at_once(self) -> int:
        return max(1, min(self.most_running, self.total - self.num_ended))

    def _count(self, trial: str, sign: int) -> None:
        """Add a trial to the sums (`sign` 1), or remove it before it changes (-1)."""
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
    """Total number of training images that a trial sees."""
    length = planned.recipe.length
    return length.iterations * length.batch_size
