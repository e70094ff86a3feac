"""Starts a sweep on Ray again after a shortage of memory has killed its central process, once there is memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

from raysweep.errors import RaysweepError
from raysweep.orchestrate.events import ENDS, Event, OnEvent, Outcome
from raysweep.orchestrate.ray_sweep import ShortOfMemoryError
from raysweep.orchestrate.restarts import CALM_S, LONGEST_SHORTAGE_PAUSE_S, PAUSE_S, SHORTAGE_S
from raysweep.process.machine import usable_memory

LEAST_FREE = 0.1
"""Share of this machine's memory that must be free before the next start."""
Sweep = Callable[[Collection[str], OnEvent], Outcome]
"""Trains everything but the trials that have ended, and passes on its events."""


class _Patience:
    """How long a shortage of memory lasts, and the pauses in it."""

    def __init__(self) -> None:
        self.since = self.started = math.inf
        self.pause_s = PAUSE_S

    def renew(self) -> None:
        """Note that something has been trained."""
        self.since, self.pause_s = math.inf, PAUSE_S

    @property
    def is_short(self) -> bool:
        """Whether nothing has been trained since the last shortage."""
        return self.since < math.inf

    def wait(self) -> bool:
        """Wait until there may be memory; returns whether the shortage is still short enough to go on."""
        if time.monotonic() - self.started > CALM_S:
            self.renew()
        self.since = min(self.since, time.monotonic())
        while time.monotonic() - self.since <= SHORTAGE_S:
            time.sleep(self.pause_s)
            self.pause_s = min(2 * self.pause_s, LONGEST_SHORTAGE_PAUSE_S)
            memory = usable_memory()
            if memory.free >= LEAST_FREE * memory.total:
                return True
        return False


def outlast_shortages(sweep: Sweep, on_event: OnEvent) -> Outcome:
    """Carry out a sweep, and what is left of it after each shortage of memory.

    Raises:
        RaysweepError: as the sweep raises it; if memory is short, only when this lasts longer than SHORTAGE_S.
    """
    ends: dict[str, str] = {}
    patience = _Patience()

    def listen(event: Event) -> None:
        if event.kind in ENDS:
            ends[event.trial] = event.kind
        if event.kind == "epoch":
            patience.renew()
        on_event(event)

    while True:
        patience.started = time.monotonic()
        try:
            outcome = sweep(ends, listen)
        except RaysweepError as error:
            # While memory is short Ray may not even start.
            if not isinstance(error, ShortOfMemoryError) and not patience.is_short:
                raise
            on_event(Event("note", text=f"the sweep waits for memory, and then goes on: {error}"))
            if not patience.wait():
                raise
        else:
            return Outcome.of(ends | {trial: end for end, trials in vars(outcome).items() for trial in trials})
