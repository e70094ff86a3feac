"""What becomes of each trial of a sweep: it waits, is tried again, ends, and whoever listens is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.errors import killed_for_memory
from raysweep.orchestrate.events import Event, Kind, Row, headline
from raysweep.orchestrate.leases import Lease, Waiting
from raysweep.train.task import TrialTask


class Ledger:
    """The trials of a sweep; it knows nothing of gangs.

    `expected` is how many trials there will be where not all are known at the start. With `can_widen` a trial that runs
    out of memory is tried again with a device to itself.
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
        """Trials that need a device to themselves and have not ended."""
        self.events: list[Event] = []
        """What has not been told yet."""

    def know(self, task: TrialTask) -> None:
        """A trial that was not known at the start; it comes after all others."""
        self.leases.setdefault(task.trial, Lease(task))
        self.waiting.know(task.trial)

    def num_left(self, alone: bool) -> int:
        """Trials that have not ended, of one kind."""
        return self.num_alone if alone else max(self.expected, len(self.leases)) - self.num_ended - self.num_alone

    def lend(self, alone: bool) -> Lease:
        """The next trial of one kind, for one more attempt."""
        lease = self.leases[self.waiting.pop(alone)]
        lease.attempt += 1
        if lease.attempt == 1:
            self.tell("started", lease.task.trial)
        return lease

    def note(self, lease: Lease, row: Row) -> None:
        """Take an epoch's row, once."""
        trial = lease.task.trial
        if row["epoch"] > lease.last.get("epoch", 0):
            lease.rows.append(row)
            lease.setbacks.clear()
            self.tell("epoch", trial, row)
        if row["status"] != "running" and not lease.end:
            self.end(lease, row["status"], row)

    def retry(
        self, lease: Lease, error: str, *, hopeless: bool = False, loss: bool = False, short: bool = False
    ) -> None:
        """An attempt has gone wrong: let the trial wait for another, or let it end.

        A hopeless error is one that another attempt would meet again, a short one of memory; a loss is no fault of the
        trial's.
        """
        if lease.end:
            return None
        lease.errors[lease.attempt] = headline(error)
        if lease.stop:
            return self.end_stopped(lease)
        if (short or killed_for_memory(error)) and self.can_widen and not lease.alone:
            return self._widen(lease, error)
        lease.setbacks.add(loss)
        if hopeless or lease.setbacks.exceed(self.max_attempts - 1):
            return self.end(lease, "failed", {**lease.last, "error": error}, headline(error))
        self.waiting.push(lease)
        count = "again" if loss else f"attempt {lease.setbacks.faults + 1} of {self.max_attempts}"
        return self.tell("retried", lease.task.trial, text=f"{count} after {headline(error)}")

    def _widen(self, lease: Lease, error: str) -> None:
        lease.alone = True
        self.num_alone += 1
        self.waiting.push(lease)
        text = f"with a device to itself, once one is free, after {headline(error)}"
        self.tell("retried", lease.task.trial, text=text)

    def end(self, lease: Lease, end: Any, row: Row, text: str = "") -> None:
        """A trial has ended."""
        lease.end = end
        self.num_ended += 1
        self.num_alone -= lease.alone
        self.tell(end, lease.task.trial, row, text)

    def end_stopped(self, lease: Lease) -> None:
        """A trial has ended because a scheduler wanted no more of it."""
        self.end(lease, "stopped", lease.last, f"after epoch {lease.last.get('epoch', 0)}")

    def tell(self, kind: Kind, trial: str = "", row: Row | None = None, text: str = "") -> None:
        """Tell whoever listens."""
        self.events.append(Event(kind, trial, row or {}, text))
