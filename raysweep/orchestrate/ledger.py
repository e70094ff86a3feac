"""The state of each trial of a sweep: queued, retried, ended; every change is an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.errors import killed_for_memory
from raysweep.orchestrate.events import Event, Kind, Row, elsewhere_text, headline
from raysweep.orchestrate.leases import Lease, Waiting
from raysweep.orchestrate.shortage import starved
from raysweep.train.task import TrialTask

LOOK_S = 10.0
"""Seconds between two looks at a trial that another sweep trains."""


class Ledger:
    """The trials of a sweep, without the gangs.

    `expected` is the number of trials if not all are known at the start. With `can_widen` a trial that runs out of
    memory is retried with a whole device.
    """

    def __init__(
        self, tasks: Sequence[TrialTask], max_attempts: int, expected: int = 0, can_widen: bool = False
    ) -> None:
        self.max_attempts = max_attempts
        self.expected = expected
        self.can_widen = can_widen
        self.leases = {task.trial: Lease(task) for task in tasks}
        self.waiting = Waiting(self.leases)
        self.num_ended = 0
        self.num_alone = 0
        """Number of trials that need a whole device and have not ended."""
        self.aside: dict[str, float] = {}
        """Trial that another sweep trains -> when to look at it again."""
        self.closed = False
        """Whether the sweep is over: then no trial is retried."""
        self.events: list[Event] = []
        """Events that the driver has not fetched yet."""

    def know(self, task: TrialTask) -> None:
        """Add a trial that was not known at the start, after all others."""
        self.leases.setdefault(task.trial, Lease(task))
        self.waiting.know(task.trial)

    def num_left(self, alone: bool) -> int:
        """Return the number of trials of one kind that have not ended."""
        return self.num_alone if alone else max(self.expected, len(self.leases)) - self.num_ended - self.num_alone

    def lend(self, alone: bool) -> Lease:
        """Hand out the next trial of one kind, for one more attempt."""
        lease = self.leases[self.waiting.pop(alone)]
        if not lease.elsewhere:  # it was only asked whether it can be trained by now
            lease.attempt += 1
        if lease.attempt == 1 and not lease.elsewhere:
            self.emit("started", lease.task.trial)
        return lease

    def note(self, lease: Lease, row: Row) -> None:
        """Record an epoch's row, once."""
        trial = lease.task.trial
        if row["epoch"] > lease.last.get("epoch", 0):
            lease.rows.append(row)
            lease.setbacks.clear()
            lease.elsewhere = ""
            self.emit("epoch", trial, row)
        if row["status"] != "running" and not lease.end:
            self.end(lease, row["status"], row)

    def retry(
        self, lease: Lease, error: str, *, hopeless: bool = False, loss: bool = False, short: bool = False
    ) -> None:
        """Queue a trial again after a failed attempt, or end it.

        `hopeless`: another attempt would fail in the same way; `short`: memory ran out; `loss`: not the trial's fault.
        A trial that was killed because other programs took the memory of its node has lost nothing but time.
        """
        if lease.end or self.closed:
            return None
        lease.errors[lease.attempt] = headline(error)
        lease.elsewhere = ""
        if lease.stop:
            return self.end_stopped(lease)
        if starved(error):
            self.waiting.push(lease)
            return self.emit("retried", lease.task.trial, text=f"after {headline(error)}")
        if (short or killed_for_memory(error)) and self.can_widen and not lease.alone:
            return self._widen(lease, error)
        lease.setbacks.add(loss)
        if hopeless or lease.setbacks.exceed(self.max_attempts - 1):
            return self.end(lease, "failed", {**lease.last, "error": error}, headline(error))
        self.waiting.push(lease)
        count = "" if loss else f"attempt {lease.setbacks.faults + 1} of {self.max_attempts} "
        return self.emit("retried", lease.task.trial, text=f"{count}after {headline(error)}")

    def set_aside(self, lease: Lease, where: str, now: float) -> None:
        """Keep a trial that another sweep trains out of the queue for a while; noted once."""
        if lease.elsewhere != where:
            self.emit("elsewhere", lease.task.trial, text=elsewhere_text(where))
        lease.elsewhere = where
        self.aside[lease.task.trial] = now + LOOK_S

    def look_again(self, now: float) -> bool:
        """Queue the trials that were set aside until now; returns whether there were any."""
        due = [trial for trial, until in self.aside.items() if until <= now]
        for trial in due:
            del self.aside[trial]
            self.waiting.push(self.leases[trial])
        return bool(due)

    def _widen(self, lease: Lease, error: str) -> None:
        lease.alone = True
        self.num_alone += 1
        self.waiting.push(lease)
        text = f"with a whole device, once one is free, after {headline(error)}"
        self.emit("retried", lease.task.trial, text=text)

    def end(self, lease: Lease, end: Any, row: Row, text: str = "") -> None:
        """End a trial."""
        lease.end = end
        self.num_ended += 1
        self.num_alone -= lease.alone
        self.emit(end, lease.task.trial, row, text)

    def end_stopped(self, lease: Lease) -> None:
        """End a trial that a scheduler has stopped."""
        self.end(lease, "stopped", lease.last, f"after epoch {lease.last.get('epoch', 0)}")

    def emit(self, kind: Kind, trial: str = "", row: Row | None = None, text: str = "") -> None:
        """Add an event."""
        self.events.append(Event(kind, trial, row or {}, text))
