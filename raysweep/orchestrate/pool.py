"""The pool: which gang trains which trial, how far it is, and how it ended.

It is one asyncio actor at the center of a sweep. Tune's trial functions submit trials and fetch their rows, gangs take
trials and report epochs, and the driver fetches the events. It does not hold the state of a training: the store does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from raysweep.orchestrate.events import Event, Row, headline
from raysweep.orchestrate.leases import Demand, Member, Offer
from raysweep.orchestrate.ledger import Ledger
from raysweep.orchestrate.restarts import MAX_CRASHES, Restarts
from raysweep.orchestrate.shortage import starved
from raysweep.orchestrate.waits import Ready, Waits
from raysweep.train.task import TrialTask

IDLE_S = 60.0
"""A gang that has waited this long is sent back to ask again, so that its other ranks do not time out."""
STOP_S = 30.0
"""Longest wait for a gang to release a stopped trial; Tune waits twice as long for its function to end."""
SILENCE_S = 1800.0
"""A trial without a heartbeat for this long hangs. Every batch is a heartbeat, however long the epochs are; the limit
allows for what comes before the first batch, such as decoding the images or waiting for the store."""


class Pool(Ledger):
    """The ledger of trials, the gangs, and the calls of gangs, Tune and driver.

    `patient` makes a gang wait for Tune's decision on each epoch before it starts the next. With `can_widen` the driver
    adds a gang with a whole device for trials that need one. `clock` gives seconds.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tasks, max_attempts, expected, can_widen)
        self.patient = patient
        self.clock = clock
        self.silence_s = silence_s
        self.gangs = {name: Member() for name in gangs}
        """Name -> gang, of those that are wanted."""
        self.draining: frozenset[str] = frozenset()
        """Nodes that are about to be taken away."""
        self.restarts = Restarts(clock)
        self.complaint = ""
        self.waits = Waits()

    # What Tune's searcher calls.

    async def add(self, task: TrialTask) -> None:
        """Add a trial that was not known at the start, after all others."""
        self.know(task)

    async def expect(self, more: int) -> None:
        """Announce the number of trials still to come: gangs stay for them, and close if there are none.

        A trial that needs a whole device may wait for the resources of a gang with nothing left to do.
        """
        self.expected = len(self.leases) + more
        await self._announce()

    async def result(self, trial: str) -> tuple[str, list[Row]]:
        """Return how a trial has ended (empty: not yet), and its rows so far."""
        lease = self.leases[trial]
        return lease.end, lease.rows

    async def end_of(self, trial: str) -> tuple[str, str]:
        """Return how a trial has ended (empty: not yet), and its last error in one line."""
        lease = self.leases[trial]
        return lease.end, next(reversed(lease.errors.values()), "")

    # What Tune's trial functions call.

    async def submit(self, trial: str) -> int:
        """Queue a trial, once; returns the number of its rows that Tune has received."""
        lease = self.leases[trial]
        if not lease.submitted:
            lease.submitted = True
            self.waiting.push(lease)
            await self._announce()
        return lease.judged

    async def fetch(self, trial: str, judged: int) -> tuple[list[Row], bool]:
        """Wait for rows after the first `judged`; returns them, and whether there will be no more."""
        lease = self.leases[trial]
        lease.judged = max(lease.judged, judged)
        await self._announce()
        await self._until(lambda: len(lease.rows) > judged or bool(lease.end) or self.closed)
        return lease.rows[judged:], bool(lease.end) or self.closed

    async def stop(self, trial: str) -> None:
        """Stop a trial at a scheduler's request; returns when its gang has released it."""
        lease = self.leases[trial]
        lease.stop = True
        if self.waiting.remove(lease) or self.aside.pop(trial, 0.0):
            self.end_stopped(lease)
        await self._announce()
        await self._until(lambda: bool(lease.end) or self.closed, STOP_S)

    # What gangs and their controllers call.

    async def is_wanted(self, gang: str) -> bool:
        """Return whether a gang should start at all."""
        return gang in self.gangs and not self.closed

    async def place(self, gang: str, nodes: Mapping[str, str]) -> None:
        """Receive the nodes on which a gang's workers are about to start, each with its address."""
        self.gangs.get(gang, Member()).nodes.update(nodes)

    async def settle(self, gang: str, node: str, rank: int = 0) -> int:
        """Register a worker of a gang on a node; returns how many times the gang has started, counting its rank 0."""
        member = self.gangs.get(gang, Member())
        member.nodes.setdefault(node, node)
        member.lives += rank == 0
        return member.lives

    async def take(self, gang: str, life: int | None = None) -> Offer | None:
        """Hand out the next trial; None if there will be no more for this gang, or for an earlier start of it."""
        if not await self.is_wanted(gang) or life not in (None, self.gangs[gang].lives):
            return None
        await self._lose(gang, "the worker process was restarted")
        member = self.gangs[gang]
        await self._until(lambda: self.closed or self._has_answer(member), IDLE_S)
        if self.closed:
            return None
        if self._leaves(member):
            return Offer(leave=True)
        self.restarts.started(member)
        if self.waiting.any(member.wide):
            return self._lend(member)
        if self._is_spare(member):
            del self.gangs[gang]
            await self._announce()
            return None
        return Offer()

    async def beat(self, gang: str, waiting: str = "") -> bool:
        """Receive a heartbeat of the gang's trial, or what it waits for; returns whether it must leave its node now."""
        member = self.gangs.get(gang, Member())
        if member.trial:
            member.last_beat = self.clock()
            if waiting:
                self.emit("note", member.trial, text=f"waiting {waiting}")
                await self._announce()
        return self._leaves(member)

    async def report(self, gang: str, trial: str, attempt: int, row: Row) -> bool:
        """Record an epoch's row, once, whichever attempt trained it; returns whether to continue."""
        lease = self.leases[trial]
        if self.closed or not self._is_current(gang, trial, attempt):
            return False
        self.note(lease, row)
        await self._announce()
        member = self.gangs[gang]
        self.restarts.trained(member)
        if self.patient:
            member.last_beat = math.inf
            await self._until(lambda: lease.judged >= len(lease.rows) or lease.stop or bool(lease.end) or self.closed)
        member.last_beat = self.clock() if member.trial else math.inf
        return bool(lease.end) or not (lease.stop or self.closed or self._leaves(member))

    async def release(
        self,
        gang: str,
        trial: str,
        attempt: int,
        error: str = "",
        hopeless: bool = False,
        short: bool = False,
        elsewhere: str = "",
    ) -> None:
        """End an attempt: `hopeless` if another one would fail in the same way, `short` if memory ran out.

        `elsewhere` names the process of another sweep that trains the trial: gangs look again after a pause.
        """
        if not self._is_current(gang, trial, attempt):
            return
        lease, member = self.leases[trial], self.gangs[gang]
        member.trial, member.last_beat = "", math.inf
        if error:
            self.retry(lease, error, hopeless=hopeless, short=short)
        elif elsewhere and not (lease.stop or lease.end):
            self.set_aside(lease, elsewhere, self.clock())
        elif lease.stop and not lease.end:
            self.end_stopped(lease)
        elif not lease.end and self._leaves(member):
            self.waiting.push(lease)
            self.emit("retried", trial, text="on another node: this one is about to be taken away")
        elif not lease.end and not self.closed:
            self.retry(lease, "the trial ended without a final status", hopeless=True)
        await self._announce()

    async def show(self, gang: str, trial: str, attempt: int) -> None:
        """Run as long as an attempt: a task with the trial's name, so that Ray's dashboard has a row for it.

        Raises:
            RuntimeError: the attempt failed; the dashboard shows the reason.
        """
        await self._until(lambda: not self._is_current(gang, trial, attempt) or self.closed)
        if error := self.leases[trial].errors.get(attempt):
            raise RuntimeError(error)

    async def crashed(self, gang: str, error: str, loss: bool = False) -> bool:
        """Record that a gang's workers or controller died (`loss`: not their fault); returns whether to restart."""
        held = gang in self.held
        await self._lose(gang, error, loss)
        if not await self.is_wanted(gang):
            return False
        member = self.gangs[gang]
        pause_s = self._restart(gang, error, loss)
        member.nodes = {}
        if gang in self.gangs and not held:
            self.emit("note", text=f"{gang} restarts{f' in {pause_s:g} s' if pause_s else ''} after {headline(error)}")
        await self._announce()
        await self._until(lambda: self.closed or gang not in self.gangs, pause_s)
        return await self.is_wanted(gang)

    # What the driver calls.

    async def enlist(self, gang: str, wide: bool = False) -> None:
        """Add a gang."""
        self.gangs.setdefault(gang, Member(wide))

    async def demand(self) -> Demand:
        """Return the gangs and devices that the sweep could use."""
        members = self.gangs.values()
        return Demand(
            gangs=sum(not member.wide for member in members),
            trials=self.num_left(alone=False),
            alone=self.num_alone,
            elsewhere=len(self.aside),
            has_wide=any(member.wide for member in members),
            avoid=self.restarts.avoided,
        )

    async def remark(self, text: str) -> None:
        """Add a note about the sweep as a whole."""
        self.emit("note", text=text)
        await self._announce()

    async def tend(self, draining: Collection[str]) -> list[str]:
        """Receive the nodes that are about to go; returns the gangs that hang and must be killed."""
        if new := frozenset(draining) - self.draining:
            self.emit("note", text=f"{len(new)} node(s) are about to be taken away: their trials move to others")
        self.draining |= new
        now = self.clock()
        silent = [name for name, member in self.gangs.items() if now - member.last_beat > self.silence_s]
        for gang in silent:
            await self._lose(gang, f"the worker hangs: no batch in {self.silence_s:g} s")
        if self.look_again(now) or new or silent:
            await self._announce()
        return silent

    async def next_events(self) -> list[Event]:
        """Wait for events and return them; none once the sweep is over."""
        await self._until(lambda: bool(self.events) or self.closed)
        events, self.events = self.events, []
        return events

    async def finish(self) -> None:
        """Close once the gangs have released their trials: Tune is done, so it has stopped all that have not ended."""
        for trial in self.held.values():
            self.leases[trial].stop = True
        await self._announce()
        await self._until(lambda: not self.held or self.closed, STOP_S)
        await self.close()

    async def close(self) -> None:
        """Let every gang and every Tune function end."""
        self.closed = True
        await self._announce()

    async def ends(self) -> dict[str, str]:
        """Return how each trial ended; empty for those that have not."""
        return {trial: lease.end for trial, lease in self.leases.items()}

    async def why_closed(self) -> str:
        """Return why the pool closed itself, if it did."""
        return self.complaint

    # Inside.

    @property
    def held(self) -> dict[str, str]:
        """Gang -> the trial that it trains."""
        return {name: member.trial for name, member in self.gangs.items() if member.trial}

    def _lend(self, member: Member) -> Offer:
        lease = self.lend(member.wide)
        member.trial, member.last_beat, member.taken = lease.task.trial, self.clock(), self.clock()
        return Offer(lease.task, lease.attempt, alone=lease.alone)

    def _is_spare(self, member: Member) -> bool:
        # Every running trial keeps its gang for another attempt.
        return sum(other.wide == member.wide for other in self.gangs.values()) > self.num_left(member.wide)

    def _has_answer(self, member: Member) -> bool:
        return self.waiting.any(member.wide) or self._is_spare(member) or self._leaves(member)

    def _leaves(self, member: Member) -> bool:
        return not self.draining.isdisjoint(member.nodes.keys())

    def _is_current(self, gang: str, trial: str, attempt: int) -> bool:
        return gang in self.gangs and self.gangs[gang].trial == trial and self.leases[trial].attempt == attempt

    async def _lose(self, gang: str, error: str, loss: bool = False) -> None:
        if gang in self.held:
            member = self.gangs[gang]
            self.retry(self.leases[member.trial], error, loss=loss)
            member.trial, member.last_beat = "", math.inf
            await self._announce()

    def _restart(self, gang: str, error: str, loss: bool) -> float:
        """Return the pause before a gang starts again, unless it or the sweep is given up."""
        member = self.gangs[gang]
        pause_s = self.restarts.killed(member) if starved(error) else self.restarts.crashed(member, loss)
        if member.setbacks.exceed(MAX_CRASHES):
            self._give_up(gang, error)
        elif self.restarts.is_too_short() and not self.held:
            self.closed, self.complaint = True, error
        return pause_s

    def _give_up(self, gang: str, error: str) -> None:
        nodes = self.gangs.pop(gang).nodes
        where = f" on {', '.join(nodes.values())}" if nodes else ""
        text = f"{gang} is given up after {MAX_CRASHES} failed restarts{where}: {headline(error)}"
        if not self.gangs:
            self.closed, self.complaint = True, error
        elif nodes:
            text += f"; nothing is started there for {self.restarts.avoid(nodes) / 60:.0f} min"
        self.emit("note", text=text)

    async def _announce(self) -> None:
        self.waits.wake()

    async def _until(self, ready: Ready, timeout_s: float | None = None) -> None:
        await self.waits.until(ready, timeout_s)
