"""What the pool keeps of each trial and of each gang while a sweep runs. None of it outlives the sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from raysweep.orchestrate.events import Row
from raysweep.train.task import TrialTask

MAX_LOSSES = 20
"""Times in a row that a trial or a gang may fall to its surroundings: a trial may be what takes its nodes down."""


@dataclass(frozen=True)
class Offer:
    """What a gang that asks for a trial gets; without a task it is to ask again, or to leave its node."""

    task: TrialTask | None = None
    attempt: int = 0
    leave: bool = False


@dataclass
class Setbacks:
    """What has gone wrong since something last went right."""

    faults: int = 0
    """Crashes and errors of its own."""
    losses: int = 0
    """Nodes and controllers that died under it."""

    def add(self, loss: bool) -> None:
        """Count one more."""
        if loss:
            self.losses += 1
        else:
            self.faults += 1

    def clear(self) -> None:
        """Something has gone right."""
        self.faults = self.losses = 0

    def exceed(self, max_faults: int) -> bool:
        """Whether there have been more than that many faults, or too many losses."""
        return self.faults > max_faults or self.losses > MAX_LOSSES


@dataclass
class Lease:
    """One trial on its way through the sweep."""

    task: TrialTask
    attempt: int = 0
    rows: list[Row] = field(default_factory=list)
    judged: int = 0
    """Rows that Tune has taken note of."""
    submitted: bool = False
    stop: bool = False
    end: str = ""
    setbacks: Setbacks = field(default_factory=Setbacks)

    @property
    def last(self) -> Row:
        """The last row, or an empty one."""
        return self.rows[-1] if self.rows else {}


@dataclass
class Member:
    """One gang as the pool knows it."""

    trial: str = ""
    """What it holds; empty: nothing."""
    nodes: set[str] = field(default_factory=set)
    """Where its workers are."""
    setbacks: Setbacks = field(default_factory=Setbacks)
    """Since it last took a trial."""
    heard: float = math.inf
    """When it last gave a sign of life, on the pool's clock; infinite: it owes none."""
