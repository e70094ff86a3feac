"""What the pool keeps of each trial and of each gang while a sweep runs. None of it outlives the sweep."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
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
    alone: bool = False
    """Whether the trial has a device to itself, since it ran out of memory beside others."""


@dataclass(frozen=True)
class Demand:
    """What a sweep could use at the moment."""

    gangs: int = 0
    """Those that there are, but for the one that has a device to itself."""
    trials: int = 0
    """Those that have not ended, but for those that need a device to themselves."""
    alone: int = 0
    """Trials that need a device to themselves."""
    has_wide: bool = False
    """Whether there is a gang for these."""


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
    alone: bool = False
    """Whether it is for the gang that has a device to itself, since it ran out of memory beside others."""
    errors: dict[int, str] = field(default_factory=dict)
    """Why attempts failed, in a line each."""

    @property
    def last(self) -> Row:
        """The last row, or an empty one."""
        return self.rows[-1] if self.rows else {}


class Waiting:
    """Trials that no gang has: those for any gang, and those that need a device to themselves, in the plan's order."""

    def __init__(self, trials: Iterable[str]) -> None:
        self.order = {trial: number for number, trial in enumerate(trials)}
        self.heaps: dict[bool, list[tuple[int, str]]] = {False: [], True: []}

    def know(self, trial: str) -> None:
        """A trial that comes after all others; what is tried again comes before what has not begun."""
        self.order.setdefault(trial, len(self.order))

    def push(self, lease: Lease) -> None:
        """Let a trial wait."""
        heapq.heappush(self.heaps[lease.alone], (self.order[lease.task.trial], lease.task.trial))

    def pop(self, alone: bool) -> str:
        """The next trial of one kind."""
        return heapq.heappop(self.heaps[alone])[1]

    def any(self, alone: bool) -> bool:
        """Whether trials of one kind wait."""
        return bool(self.heaps[alone])

    def remove(self, lease: Lease) -> bool:
        """Let a trial wait no more; returns whether it did."""
        heap, entry = self.heaps[lease.alone], (self.order[lease.task.trial], lease.task.trial)
        if found := entry in heap:
            heap.remove(entry)
            heapq.heapify(heap)
        return found


@dataclass
class Member:
    """One gang as the pool knows it."""

    wide: bool = False
    """Whether it has a device, or a node, to itself, and takes only trials that need that."""
    trial: str = ""
    """What it holds; empty: nothing."""
    lives: int = 0
    """Times that its workers were started: what an earlier life says late is not heard."""
    nodes: set[str] = field(default_factory=set)
    """Where its workers are."""
    setbacks: Setbacks = field(default_factory=Setbacks)
    """Since it last took a trial."""
    heard: float = math.inf
    """When it last gave a sign of life, on the pool's clock; infinite: it owes none."""
