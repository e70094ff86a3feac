"""Threads of the driver that see what nobody reports: hung gangs, nodes about to go, a head that is gone."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray._private.state import state
from ray.exceptions import RayError

from raysweep.orchestrate.cluster import knock
from raysweep.orchestrate.gangs import Gangs

LOOK_S = 1.0
"""Between looks. Train's own watcher of nodes about to go would be a process beside each gang."""
HEAD_S = 40.0
"""How long the head may not answer. After a minute Ray would end this process without a word."""


class Watch:
    """Looks after the gangs of a pool while it is entered."""

    def __init__(self, pool: Any, gangs: Gangs) -> None:
        self.pool = pool
        self.gangs = gangs
        self.head = ray.get_runtime_context().gcs_address
        self.silent_since = math.inf
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=look, daemon=True) for look in (self._look_at_head, self._look_at_gangs)
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self.over.set()

    @property
    def lost(self) -> str:
        """What to tell of a head that is gone; empty while it answers."""
        silent_s = time.monotonic() - self.silent_since
        return f"Ray's head node at {self.head} has not answered for {silent_s:.0f} s" if silent_s > HEAD_S else ""

    def _look_at_head(self) -> None:
        while not self.over.wait(LOOK_S):
            try:
                knock(self.head)
                self.silent_since = math.inf
            except OSError:
                self.silent_since = min(self.silent_since, time.monotonic())

    def _look_at_gangs(self) -> None:
        while not self.over.wait(LOOK_S):
            with suppress(RayError, OSError, ValueError):  # a head that is gone is the other thread's to tell
                self.gangs.kill(ray.get(self.pool.tend.remote(list(state.get_draining_nodes()))))
