"""The pool's record of each trial and each gang while a sweep runs. None of it outlives the sweep."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from raysweep.orchestrate.events import Row
from raysweep.train.task import TrialTask

MAX_LOSSES = 20
"""Losses in a row that a trial or a gang may suffer: the trial itself may be what takes its nodes down."""


@dataclass(frozen=True)
class Offer:
    """The pool's answer to a gang that asks for a trial; without a task the gang asks again, or leaves its node."""

    task: TrialTask | None = None
    attempt: int = 0
    leave: bool = False
    alone: bool = False
    """Whether the trial gets a whole device, because it ran out of memory when sharing one."""


@dataclass(frozen=True)
class Demand:
    """The gangs and devices that a sweep could use at the moment."""

    gangs: int = 0
    """Number of gangs, without the one that has a whole device."""
    trials: int = 0
    """Number of trials that have not ended, without those that need a whole device."""
    alone: int = 0
    """Number of trials that need a whole device."""
    elsewhere: int = 0
    """Number of trials that other sweeps train."""
    has_wide: bool = False
    """Whether there is a gang with a whole device."""
    avoid: frozenset[str] = frozenset()
    """Nodes that get no new gang at the moment."""


@dataclass
class Setbacks:
    """Failures since the last success."""

    faults: int = 0
    """Number of crashes and errors of its own."""
    losses: int = 0
    """Number of nodes and controllers lost while it ran."""

    def add(self, loss: bool) -> None:
        """Count one failure."""
        self.losses += loss
        self.faults += not loss

    def clear(self) -> None:
        """Reset both counts after a success."""
        self.faults = self.losses = 0

    def exceed(self, max_faults: int) -> bool:
        """Return whether there are more faults than this, or too many losses."""
        return self.faults > max_faults or self.losses > MAX_LOSSES


@dataclass
class Lease:
    """One trial on its way through the sweep."""

    task: TrialTask
    attempt: int = 0
    rows: list[Row] = field(default_factory=list)
    judged: int = 0
    """Number of rows that Tune has processed."""
    submitted: bool = False
    stop: bool = False
    end: str = ""
    setbacks: Setbacks = field(default_factory=Setbacks)
    alone: bool = False
    """Whether it needs the gang with a whole device, because it ran out of memory when sharing one."""
    elsewhere: str = ""
    """The process of another sweep that trains it; empty: none."""
    errors: dict[int, str] = field(default_factory=dict)
    """Attempt -> reason of its failure, in one line."""

    @property
    def last(self) -> Row:
        """The last row, or an empty one."""
        return self.rows[-1] if self.rows else {}


class Waiting:
    """Trials that wait for a gang, in the plan's order: those for any gang, and those that need a whole device."""

    def __init__(self, trials: Iterable[str]) -> None:
        self.order = {trial: number for number, trial in enumerate(trials)}
        self.queues: dict[bool, list[tuple[int, str]]] = {False: [], True: []}

    def know(self, trial: str) -> None:
        """Add a trial after all others; a retried trial keeps its place, before trials that have not started."""
        self.order.setdefault(trial, len(self.order))

    def push(self, lease: Lease) -> None:
        """Queue a trial."""
        insort(self.queues[lease.alone], (self.order[lease.task.trial], lease.task.trial))

    def pop(self, alone: bool) -> str:
        """Remove and return the next trial of one kind."""
        return self.queues[alone].pop(0)[1]

    def any(self, alone: bool) -> bool:
        """Return whether trials of one kind are queued."""
        return bool(self.queues[alone])

    def remove(self, lease: Lease) -> bool:
        """Remove a trial from the queue; returns whether it was queued."""
        queue, entry = self.queues[lease.alone], (self.order[lease.task.trial], lease.task.trial)
        if found := entry in queue:
            queue.remove(entry)
        return found


@dataclass
class Member:
    """The pool's record of one gang."""

    wide: bool = False
    """Whether it has a whole device, or node, and takes only trials that need one."""
    trial: str = ""
    """The trial that it trains; empty: none."""
    lives: int = 0
    """How many times its workers were started; late messages of an earlier start are ignored."""
    nodes: dict[str, str] = field(default_factory=dict)
    """Nodes on which its workers run, each with its address."""
    setbacks: Setbacks = field(default_factory=Setbacks)
    """Failures since it last took a trial."""
    taken: float = math.inf
    """Time at which it took its last trial, on the pool's clock; infinite: none since it started."""
    kills: int = 0
    """How many times in a row, without an epoch in between, it was killed for memory that other programs took."""
    last_beat: float = math.inf
    """Time of its last heartbeat, on the pool's clock; infinite: none is expected."""
