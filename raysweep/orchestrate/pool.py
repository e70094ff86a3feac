"""The pool: which trial is where, how far it is, and how it ended.

One asyncio actor in the middle of a sweep. Tune's trial functions submit trials and fetch their rows, gangs take trials
and report to it, the driver listens to the events. It holds no trial's state: that is in the store.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from raysweep.orchestrate.events import Event, Row, headline
from raysweep.orchestrate.leases import Demand, Lease, Member, Offer
from raysweep.orchestrate.ledger import Ledger
from raysweep.train.task import TrialTask

IDLE_S = 60.0
"""A gang that has waited this long is told to ask again, so that its other ranks do not time out in a collective."""
STOP_S = 30.0
"""Longest wait for a gang to let go of a stopped trial; Tune waits twice as long for its function to end."""
MAX_CRASHES = 3
"""Crashes in a row, with no trial taken in between, after which a gang is given up."""
PAUSE_S, LONGEST_PAUSE_S = 5.0, 30.0
"""Before the second start in a row, and longer before each further one: a dead node is not known to be so at once."""
SILENCE_S = 1800.0
"""A trial of which nothing is heard for so long hangs. It is heard of after every batch, however long its epochs are:
what sets the limit is what comes before the first one, such as decoding the images or waiting for the store."""


class Pool(Ledger):
    """See the module.

    `patient` makes a gang wait for Tune's word on each epoch before it starts the next. With `can_widen` the driver
    adds a gang that has a device to itself for trials that need one.
    """

    def __init__(
        self,
        tasks: Sequence[TrialTask],
        gangs: Iterable[str],
        max_attempts: int = 2,
        patient: bool = False,
        expected: int = 0,
        silence_s: float = SILENCE_S,
        can_widen: bool = False,
    ) -> None:
        super().__init__(tasks, max_attempts, expected, can_widen)
        self.patient = patient
        self.silence_s = silence_s
        self.gangs = {name: Member() for name in gangs}
        """Those that are wanted."""
        self.draining: frozenset[str] = frozenset()
        """Nodes that are about to be taken away."""
        self.closed = False
        self.complaint = ""
        self.changed = asyncio.Condition()

    # What Tune's searcher calls.

    async def add(self, task: TrialTask) -> None:
        """A trial that was not known at the start; it comes after all others."""
        self.know(task)

    async def expect(self, more: int) -> None:
        """So many trials are still to come besides those known: gangs stay for them, and go where there are none.

        A trial that needs a device to itself may wait for the place of a gang that has nothing left to do.
        """
        self.expected = len(self.leases) + more
        await self._announce()

    async def result(self, trial: str) -> tuple[str, list[Row]]:
        """How a trial has ended, empty where it has not, and its rows so far."""
        lease = self.leases[trial]
        return lease.end, lease.rows

    async def end_of(self, trial: str) -> tuple[str, str]:
        """How a trial has ended, empty where it has not, and the last thing that went wrong with it, in a line."""
        lease = self.leases[trial]
        return lease.end, next(reversed(lease.errors.values()), "")

    # What Tune's trial functions call.

    async def submit(self, trial: str) -> int:
        """Put a trial in the queue, once; returns how many of its rows Tune has had."""
        lease = self.leases[trial]
        if not lease.submitted:
            lease.submitted = True
            self.waiting.push(lease)
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
        if self.waiting.remove(lease):
            self.end_stopped(lease)
        await self._announce()
        await self._until(lambda: bool(lease.end) or self.closed, STOP_S)

    # What gangs and their controllers call.

    async def is_wanted(self, gang: str) -> bool:
        """Whether a gang is to start at all."""
        return gang in self.gangs and not self.closed

    async def settle(self, gang: str, node: str, rank: int = 0) -> int:
        """One of the gang's workers runs on that node; returns the gang's life, which begins with its first worker."""
        member = self.gangs.get(gang, Member())
        member.nodes.add(node)
        member.lives += rank == 0
        return member.lives

    async def take(self, gang: str, life: int | None = None) -> Offer | None:
        """The next trial; none when there will be no more for this gang, or for an earlier life of it."""
        if not await self.is_wanted(gang) or life not in (None, self.gangs[gang].lives):
            return None
        await self._lose(gang, "the worker process was restarted")
        member = self.gangs[gang]
        await self._until(lambda: self.closed or self._has_word(member), IDLE_S)
        if self.closed:
            return None
        if self._leaves(member):
            return Offer(leave=True)
        member.setbacks.clear()
        if self.waiting.any(member.wide):
            return self._lend(member)
        if self._is_spare(member):
            del self.gangs[gang]
            await self._announce()
            return None
        return Offer()

    async def beat(self, gang: str, waits: str = "") -> bool:
        """The gang's trial gets on, or waits for what is said; returns whether it is to leave its node at once."""
        member = self.gangs.get(gang, Member())
        if member.trial:
            member.heard = time.monotonic()
            if waits:
                self.tell("note", member.trial, text=f"waits: {waits}")
                await self._announce()
        return self._leaves(member)

    async def report(self, gang: str, trial: str, attempt: int, row: Row) -> bool:
        """Take an epoch's row, once, whichever attempt trained it; returns whether to go on."""
        lease = self.leases[trial]
        if self.closed or not self._is_current(gang, trial, attempt):
            return False
        self.note(lease, row)
        await self._announce()
        member = self.gangs[gang]
        if self.patient:
            member.heard = math.inf
            await self._until(lambda: lease.judged >= len(lease.rows) or lease.stop or bool(lease.end) or self.closed)
        member.heard = time.monotonic() if member.trial else math.inf
        return bool(lease.end) or not (lease.stop or self.closed or self._leaves(member))

    async def release(
        self, gang: str, trial: str, attempt: int, error: str = "", hopeless: bool = False, short: bool = False
    ) -> None:
        """An attempt is over; a hopeless error is one that another attempt would meet again, a short one of memory."""
        if not self._is_current(gang, trial, attempt):
            return
        lease, member = self.leases[trial], self.gangs[gang]
        member.trial, member.heard = "", math.inf
        if error:
            self.retry(lease, error, hopeless=hopeless, short=short)
        elif lease.stop and not lease.end:
            self.end_stopped(lease)
        elif not lease.end and self._leaves(member):
            self.waiting.push(lease)
            self.tell("retried", trial, text="on another node: this one is about to be taken away")
        elif not lease.end and not self.closed:
            self.retry(lease, "the trial ended without a final status", hopeless=True)
        await self._announce()

    async def show(self, gang: str, trial: str, attempt: int) -> None:
        """Last as long as an attempt: a task that bears the trial's name, so that Ray's dashboard has a row for it.

        Raises:
            RuntimeError: the attempt failed, as its row then says.
        """
        await self._until(lambda: not self._is_current(gang, trial, attempt) or self.closed)
        if error := self.leases[trial].errors.get(attempt):
            raise RuntimeError(error)

    async def crashed(self, gang: str, error: str, loss: bool = False) -> bool:
        """A gang's workers or controller died, by a loss if through no fault of theirs; whether to start them again."""
        held = gang in self.held
        await self._lose(gang, error, loss)
        if not await self.is_wanted(gang):
            return False
        member = self.gangs[gang]
        member.nodes.clear()
        member.setbacks.add(loss)
        if member.setbacks.exceed(MAX_CRASHES):
            await self._give_up(gang, error)
        elif not held:
            self.tell("note", text=f"{gang} starts again after {headline(error)}")
            await self._announce()
        pause_s = PAUSE_S * (member.setbacks.faults + member.setbacks.losses - 1)
        await self._until(lambda: self.closed or gang not in self.gangs, min(pause_s, LONGEST_PAUSE_S))
        return await self.is_wanted(gang)

    # What the driver calls.

    async def enlist(self, gang: str, wide: bool = False) -> None:
        """A gang that was not there at the start."""
        self.gangs.setdefault(gang, Member(wide))

    async def demand(self) -> Demand:
        """What the sweep could use."""
        members = self.gangs.values()
        return Demand(
            gangs=sum(not member.wide for member in members),
            trials=self.num_left(alone=False),
            alone=self.num_alone,
            has_wide=any(member.wide for member in members),
        )

    async def remark(self, text: str) -> None:
        """Tell something of the sweep as a whole."""
        self.tell("note", text=text)
        await self._announce()

    async def tend(self, draining: Collection[str]) -> list[str]:
        """Hear which nodes are about to go; returns the gangs that hang and must be killed."""
        if new := frozenset(draining) - self.draining:
            self.tell("note", text=f"{len(new)} node(s) about to be taken away: their trials move")
        self.draining |= new
        now = time.monotonic()
        silent = [name for name, member in self.gangs.items() if now - member.heard > self.silence_s]
        for gang in silent:
            await self._lose(gang, f"no batch in {self.silence_s:g} s: the worker hangs")
        if new or silent:
            await self._announce()
        return silent

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

    # Inside.

    @property
    def held(self) -> dict[str, str]:
        """Which gang has which trial."""
        return {name: member.trial for name, member in self.gangs.items() if member.trial}

    def retry(
        self, lease: Lease, error: str, *, hopeless: bool = False, loss: bool = False, short: bool = False
    ) -> None:
        """As in the ledger; once the sweep is over nothing is tried again, and nothing ends."""
        if not self.closed:
            super().retry(lease, error, hopeless=hopeless, loss=loss, short=short)

    def _lend(self, member: Member) -> Offer:
        lease = self.lend(member.wide)
        member.trial, member.heard = lease.task.trial, time.monotonic()
        return Offer(lease.task, lease.attempt, alone=lease.alone)

    def _is_spare(self, member: Member) -> bool:
        # Every trial that runs keeps its gang for another attempt.
        return sum(other.wide == member.wide for other in self.gangs.values()) > self.num_left(member.wide)

    def _has_word(self, member: Member) -> bool:
        return self.waiting.any(member.wide) or self._is_spare(member) or self._leaves(member)

    def _leaves(self, member: Member) -> bool:
        return not self.draining.isdisjoint(member.nodes)

    def _is_current(self, gang: str, trial: str, attempt: int) -> bool:
        return gang in self.gangs and self.gangs[gang].trial == trial and self.leases[trial].attempt == attempt

    async def _lose(self, gang: str, error: str, loss: bool = False) -> None:
        if gang in self.held:
            member = self.gangs[gang]
            self.retry(self.leases[member.trial], error, loss=loss)
            member.trial, member.heard = "", math.inf
            await self._announce()

    async def _give_up(self, gang: str, error: str) -> None:
        self.tell("note", text=f"{gang} is given up after {MAX_CRASHES} failed starts: {headline(error)}")
        del self.gangs[gang]
        if not self.gangs:
            self.complaint = error
            await self.close()

    async def _announce(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> None:
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(ready), timeout_s)
            except TimeoutError:
                return
