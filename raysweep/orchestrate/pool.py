"""The pool: which trial is where, how far it is, and how it ended.

One asyncio actor in the middle of a sweep. Tune's trial functions submit trials and fetch their rows, gangs take trials
and report to it, the driver listens to the events. It holds no trial's state: that is in the store.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysweep.orchestrate.events import Event, Kind, Row, headline
from raysweep.train.task import TrialTask

IDLE_S = 60.0
"""A gang that has waited this long is told to ask again, so that its other ranks do not time out in a collective."""
STOP_S = 30.0
"""Longest wait for a gang to let go of a stopped trial; Tune waits twice as long for its function to end."""
MAX_CRASHES = 3
"""Crashes in a row, with no trial taken in between, after which a gang is given up."""


@dataclass(frozen=True)
class Offer:
    """What a gang that asks for a trial gets; without a task it is to ask again."""

    task: TrialTask | None = None
    attempt: int = 0


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

    @property
    def last(self) -> Row:
        """The last row, or an empty one."""
        return self.rows[-1] if self.rows else {}


class Pool:
    """See the module; `patient` makes a gang wait for Tune's word on each epoch before it starts the next."""

    def __init__(
        self, tasks: Sequence[TrialTask], gangs: Iterable[str], max_attempts: int = 2, patient: bool = False
    ) -> None:
        self.max_attempts = max_attempts
        self.patient = patient
        self.leases = {task.trial: Lease(task) for task in tasks}
        self.order = {task.trial: number for number, task in enumerate(tasks)}
        self.waiting: list[tuple[int, str]] = []
        self.held: dict[str, str] = {}
        self.crashes = dict.fromkeys(gangs, 0)
        self.controllers: dict[str, Any] = {}
        self.groups: dict[str, Any] = {}
        self.events: list[Event] = []
        self.closed = False
        self.complaint = ""
        self.changed = asyncio.Condition()

    # What Tune's searcher calls.

    async def add(self, task: TrialTask) -> None:
        """A trial that was not known at the start; it comes after all others."""
        self.leases.setdefault(task.trial, Lease(task))
        self.order.setdefault(task.trial, len(self.order))

    async def result(self, trial: str) -> tuple[str, list[Row]]:
        """How a trial has ended, empty where it has not, and its rows so far."""
        lease = self.leases[trial]
        return lease.end, lease.rows

    # What Tune's trial functions call.

    async def submit(self, trial: str) -> int:
        """Put a trial in the queue, once; returns how many of its rows Tune has had."""
        lease = self.leases[trial]
        if not lease.submitted:
            lease.submitted = True
            self._queue(trial)
            await self._announce()
        return lease.judged

    async def fetch(self, trial: str, judged: int) -> tuple[list[Row], bool]:
        """The rows after the first `judged`, as soon as there are any, and whether there will be no more."""
        lease = self.leases[trial]
        lease.judged = max(lease.judged, judged)
        await self._announce()
        await self._until(lambda: len(lease.rows) > judged or bool(lease.end) or self.closed)
        return lease.rows[judged:], bool(lease.end) or self.closed

    async def stop(self, trial: str) -> None:
        """A scheduler wants no more of this trial; returns when its gang has let go of it."""
        lease = self.leases[trial]
        lease.stop = True
        if (self.order[trial], trial) in self.waiting:
            self.waiting.remove((self.order[trial], trial))
            heapq.heapify(self.waiting)
            self._end_stopped(lease)
        await self._announce()
        await self._until(lambda: bool(lease.end) or self.closed, STOP_S)

    # What gangs and their controllers call.

    async def attach_controller(self, gang: str, controller: Any) -> bool:
        """Remember what has to be killed to end the gang at once; returns whether it is still wanted."""
        self.controllers[gang] = controller
        return not self.closed

    async def attach_group(self, gang: str, group: Any) -> None:
        """Remember the placement group that outlives the gang's controller if that is killed."""
        self.groups[gang] = group

    async def take(self, gang: str) -> Offer | None:
        """The next trial; none when the sweep is over."""
        await self._lose(gang, "the worker process was restarted")
        if gang in self.crashes:
            self.crashes[gang] = 0
            await self._until(lambda: bool(self.waiting) or self.closed, IDLE_S)
        if self.closed or gang not in self.crashes:
            return None
        return self._lend(gang) if self.waiting else Offer()

    async def report(self, gang: str, trial: str, attempt: int, row: Row) -> bool:
        """Take an epoch's row, once, whichever attempt trained it; returns whether to go on."""
        lease = self.leases[trial]
        if self.closed or not self._is_current(gang, trial, attempt):
            return False
        if row["epoch"] > lease.last.get("epoch", 0):
            lease.rows.append(row)
            self._tell("epoch", trial, row)
        if row["status"] != "running" and not lease.end:
            self._end(lease, row["status"], row)
        await self._announce()
        if self.patient:
            await self._until(lambda: lease.judged >= len(lease.rows) or lease.stop or bool(lease.end) or self.closed)
        return bool(lease.end) or not (lease.stop or self.closed)

    async def release(self, gang: str, trial: str, attempt: int, error: str = "", hopeless: bool = False) -> None:
        """An attempt is over; a hopeless error is one that another attempt would meet again."""
        if not self._is_current(gang, trial, attempt):
            return
        lease = self.leases[self.held.pop(gang)]
        if error:
            self._retry(lease, error, hopeless)
        elif lease.stop and not lease.end:
            self._end_stopped(lease)
        elif not lease.end and not self.closed:
            self._retry(lease, "the trial ended without a final status", True)
        await self._announce()

    async def crashed(self, gang: str, error: str) -> bool:
        """A gang's workers or controller died; returns whether to start them again."""
        await self._lose(gang, error)
        if self.closed or gang not in self.crashes:
            return False
        self.crashes[gang] += 1
        if self.crashes[gang] > MAX_CRASHES:
            await self._give_up(gang, error)
        return gang in self.crashes

    # What the driver calls.

    async def next_events(self) -> list[Event]:
        """What has happened since the last call, as soon as there is something; nothing once the sweep is over."""
        await self._until(lambda: bool(self.events) or self.closed)
        events, self.events = self.events, []
        return events

    async def finish(self) -> None:
        """Close once the gangs have let go: Tune is done, so what it has not seen the end of it has stopped."""
        for trial in self.held.values():
            self.leases[trial].stop = True
        await self._announce()
        await self._until(lambda: not self.held or self.closed, STOP_S)
        await self.close()

    async def close(self) -> None:
        """Let every gang and every Tune function come to its end."""
        self.closed = True
        await self._announce()

    async def ends(self) -> dict[str, str]:
        """How each trial ended; empty for those that did not."""
        return {trial: lease.end for trial, lease in self.leases.items()}

    async def why_closed(self) -> str:
        """Why the pool closed itself, if it did."""
        return self.complaint

    async def controller(self, gang: str) -> Any:
        """The handle of a gang's controller, if it has started."""
        return self.controllers.get(gang)

    async def pop_group(self, gang: str) -> Any:
        """The placement group of a gang's last life, handed out once."""
        return self.groups.pop(gang, None)

    # Inside.

    def _lend(self, gang: str) -> Offer:
        _, trial = heapq.heappop(self.waiting)
        lease = self.leases[trial]
        lease.attempt += 1
        self.held[gang] = trial
        if lease.attempt == 1:
            self._tell("started", trial)
        return Offer(lease.task, lease.attempt)

    def _queue(self, trial: str) -> None:
        # In the plan's order, so that what is tried again comes before what has not begun.
        heapq.heappush(self.waiting, (self.order[trial], trial))

    def _is_current(self, gang: str, trial: str, attempt: int) -> bool:
        return self.held.get(gang) == trial and self.leases[trial].attempt == attempt

    async def _lose(self, gang: str, error: str) -> None:
        if gang in self.held:
            await self.release(gang, self.held[gang], self.leases[self.held[gang]].attempt, error)

    def _retry(self, lease: Lease, error: str, hopeless: bool) -> None:
        if lease.end or self.closed:
            return
        if hopeless or lease.attempt >= self.max_attempts:
            self._end(lease, "failed", {**lease.last, "error": error}, headline(error))
        else:
            self._queue(lease.task.trial)
            note = f"attempt {lease.attempt + 1} of {self.max_attempts} after {headline(error)}"
            self._tell("retried", lease.task.trial, text=note)

    def _end(self, lease: Lease, end: Any, row: Row, text: str = "") -> None:
        lease.end = end
        self._tell(end, lease.task.trial, row, text)

    def _end_stopped(self, lease: Lease) -> None:
        self._end(lease, "stopped", lease.last, f"after epoch {lease.last.get('epoch', 0)}")

    async def _give_up(self, gang: str, error: str) -> None:
        self._tell("note", text=f"{gang} is given up after {MAX_CRASHES} failed starts: {headline(error)}")
        del self.crashes[gang]
        if not self.crashes:
            self.complaint = error
            await self.close()

    def _tell(self, kind: Kind, trial: str = "", row: Row | None = None, text: str = "") -> None:
        self.events.append(Event(kind, trial, row or {}, text))

    async def _announce(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> None:
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(ready), timeout_s)
            except TimeoutError:
                return
