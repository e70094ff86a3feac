"""Lets a sweep grow with its cluster: gangs for new nodes, a whole device for trials that need one, notes on waiting.

The pool makes it shrink with its work: a gang with nothing left to do closes, and its node may go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from raysweep.orchestrate.gangs import Gangs
from raysweep.orchestrate.leases import Demand
from raysweep.orchestrate.nodes import Node, nodes_there, nodes_to_come
from raysweep.orchestrate.packing import fitting, places, waiting_text, widest
from raysweep.train.worker import Gang

CHECK_S = 5.0
JOIN_S = 5.0
"""Longest wait for the thread at the end: Ray must not shut down while it makes a call."""
PATIENCE = 3
"""Number of checks in a row that find a gang without room before the sweep reports what it is waiting for."""


class Growth:
    """A thread of the driver that adds gangs while a sweep runs."""

    def __init__(self, pool: Any, gangs: Gangs, gang: Gang, at_once: int | None, allow: Callable[[int], None]) -> None:
        """`gang` is the model for all; `at_once` is how many may run (None: as many as fit).

        `allow` is called with the number of trials that can run at once, whenever that changes.
        """
        self.pool = pool
        self.gangs = gangs
        self.gang = gang
        self.at_once = at_once
        self.allow = allow
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._check_on, daemon=True)
        self.checks_waiting = 0
        self.reported = ""

    def start(self, count: int) -> None:
        """Start this many gangs, and from then on check for room for more."""
        for _ in range(count):
            self._add(self.gang)
        self.thread.start()

    def stop(self) -> None:
        """Add no more gangs."""
        self.over.set()

    def join(self) -> None:
        """Wait for the thread after `stop`."""
        self.thread.join(JOIN_S)

    def _check_on(self) -> None:
        while not self.over.wait(CHECK_S):
            with suppress(RayError, OSError, ValueError):  # `health` reports a head that is gone
                demand = ray.get(self.pool.demand.remote())
                self.check(demand, nodes_there(demand.avoid))

    def check(self, demand: Demand, there: Sequence[Node]) -> None:
        """Add the gangs for which there is room and work; `there` are the nodes that are not avoided."""
        coming = nodes_to_come(there)
        room = places(fitting([*there, *coming], self.gang.shape), self.at_once, demand.trials)
        gang = replace(self.gang, avoid=demand.avoid)
        for _ in range(room - demand.gangs):
            self._add(gang)
        if demand.alone and not demand.has_wide:
            self._add(replace(gang, shape=widest(there, gang.shape)), wide=True)
        # Trials that wait for a whole device, or for another sweep, keep no other trial from training.
        self.allow(max(room, demand.gangs) + demand.alone + demand.elsewhere)
        self._report(self.gangs.num_waiting(), there, len(coming))

    def _add(self, gang: Gang, wide: bool = False) -> None:
        if not self.over.is_set():
            self.gangs.add(replace(gang, name=f"gang-{len(self.gangs.threads)}"), wide)

    def _report(self, waiting: int, there: Sequence[Node], coming: int) -> None:
        self.checks_waiting = self.checks_waiting + 1 if waiting else 0
        if self.checks_waiting < PATIENCE:
            return
        text = waiting_text(self.gang.shape, waiting, there, ray.available_resources(), coming)
        if text != self.reported:
            self.reported = text
            ray.get(self.pool.remark.remote(text))
