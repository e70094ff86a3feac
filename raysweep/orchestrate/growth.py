"""Lets a sweep grow with its cluster: gangs for nodes that come, a device alone for who needs one, and why others wait.

That it shrinks with its work is the pool's: a gang for which nothing is left closes, and its node may go.
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

LOOK_S = 5.0
PATIENCE = 3
"""Looks in a row at a gang without a place after which it is told what it waits for."""


class Growth:
    """A thread of the driver that adds gangs while a sweep runs."""

    def __init__(self, pool: Any, gangs: Gangs, gang: Gang, at_once: int | None, allow: Callable[[int], None]) -> None:
        """`gang` is what all are like; `at_once` how many may run, none: as many as fit.

        `allow` is told how many trials can be under way at once, whenever that changes.
        """
        self.pool = pool
        self.gangs = gangs
        self.gang = gang
        self.at_once = at_once
        self.allow = allow
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look_on, daemon=True)
        self.looks = 0
        self.told = ""

    def start(self, count: int) -> None:
        """Start so many gangs, and look for room for more from then on."""
        for _ in range(count):
            self._add(self.gang)
        self.thread.start()

    def stop(self) -> None:
        """Add no more."""
        self.over.set()

    def _look_on(self) -> None:
        while not self.over.wait(LOOK_S):
            with suppress(RayError, OSError, ValueError):  # a head that is gone is told by who watches it
                self.look(ray.get(self.pool.demand.remote()), nodes_there())

    def look(self, demand: Demand, there: Sequence[Node]) -> None:
        """Add what there is room and work for."""
        coming = nodes_to_come(there)
        room = places(fitting([*there, *coming], self.gang.shape), self.at_once, demand.trials)
        for _ in range(room - demand.gangs):
            self._add(self.gang)
        if demand.alone and not demand.has_wide:
            self._add(replace(self.gang, shape=widest(there, self.gang.shape)), wide=True)
        # What waits for a device alone keeps nobody from training.
        self.allow(max(room, demand.gangs) + demand.alone)
        self._tell(self.gangs.num_waiting(), there, len(coming))

    def _add(self, gang: Gang, wide: bool = False) -> None:
        if not self.over.is_set():
            self.gangs.add(replace(gang, name=f"gang-{len(self.gangs.threads)}"), wide)

    def _tell(self, waiting: int, there: Sequence[Node], coming: int) -> None:
        self.looks = self.looks + 1 if waiting else 0
        if self.looks < PATIENCE:
            return
        text = waiting_text(self.gang.shape, waiting, there, ray.available_resources(), coming)
        if text != self.told:
            self.told = text
            ray.get(self.pool.remark.remote(text))
