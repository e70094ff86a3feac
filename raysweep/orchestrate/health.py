"""Threads of the driver that detect what is not reported: hung gangs, nodes about to go, a lost head node."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError

from raysweep.orchestrate.cluster import knock
from raysweep.orchestrate.gangs import Gangs
from raysweep.orchestrate.ray_private import state

CHECK_S = 1.0
"""Seconds between checks. Train's own watcher of nodes about to go would be one more process per gang."""
JOIN_S = 5.0
"""Longest wait for each thread at the end: Ray must not shut down while it makes a call."""
HEAD_S = 40.0
"""Longest silence of the head node. After a minute Ray would end this process without a message."""


class Watch:
    """Watches the head node and the gangs of a pool from `start` to `stop`."""

    def __init__(self, pool: Any, gangs: Gangs) -> None:
        self.pool = pool
        self.gangs = gangs
        self.head = ray.get_runtime_context().gcs_address
        self.silent_since = math.inf
        self.over = threading.Event()
        self.threads = [threading.Thread(target=check, daemon=True) for check in (self._check_head, self._check_gangs)]

    def start(self) -> None:
        """Start both threads."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """End both threads after their next check."""
        self.over.set()

    def join(self) -> None:
        """Wait for both threads after `stop`."""
        for thread in self.threads:
            thread.join(JOIN_S)

    @property
    def lost(self) -> str:
        """The message for a lost head node; empty while it answers."""
        silent_s = time.monotonic() - self.silent_since
        return f"Ray's head node at {self.head} has not answered for {silent_s:.0f} s" if silent_s > HEAD_S else ""

    def _check_head(self) -> None:
        while not self.over.wait(CHECK_S):
            try:
                knock(self.head)
                self.silent_since = math.inf
            except OSError:
                self.silent_since = min(self.silent_since, time.monotonic())

    def _check_gangs(self) -> None:
        while not self.over.wait(CHECK_S):
            with suppress(RayError, OSError, ValueError):  # the other thread reports a lost head
                self.gangs.kill(ray.get(self.pool.tend.remote(list(state.get_draining_nodes()))))
