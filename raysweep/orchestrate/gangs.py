"""Keeps the gangs of a sweep alive: one thread of the driver for each, blocked in Train's `fit`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import remove_placement_group

from raysweep.train.worker import Gang, run_gang

KILL_S = 60.0
"""Longest wait for the threads of killed gangs: a controller that is only just starting cannot be killed yet.

Ray must not be shut down under a thread that waits for it: the process would die by a signal.
"""


class Gangs:
    """The gangs of one sweep on one Ray session."""

    def __init__(self, pool: Any, gangs: Sequence[Gang], storage: Path, boot: str) -> None:
        """`boot` tells this start of the sweep from earlier ones, so that Train never takes up an old run's state."""
        self.pool = pool
        self.storage = storage
        self.boot = boot
        self.stopping = threading.Event()
        self.threads = {gang.name: threading.Thread(target=self._keep, args=(gang,), daemon=True) for gang in gangs}

    def start(self) -> None:
        """Start them all."""
        for thread in self.threads.values():
            thread.start()

    def stop(self, patience_s: float) -> None:
        """Wait for the gangs of a closed pool to end by themselves, then kill the rest."""
        self.stopping.set()
        self._wait(patience_s, lambda: None)
        self._wait(KILL_S, self._kill)
        for name in self.threads:
            self._free(name)

    def _keep(self, gang: Gang) -> None:
        for life in itertools.count():
            try:
                return run_gang(gang, f"{self.boot}-{gang.name}-{life}", self.storage)
            except Exception as error:  # Ray has many ways to say that a controller is no more
                if self.stopping.is_set() or not self._revive(gang.name, str(error)):
                    return None

    def _revive(self, name: str, error: str) -> bool:
        self._free(name)
        with suppress(RayError):
            return bool(ray.get(self.pool.crashed.remote(name, error)))
        return False

    def _free(self, name: str) -> None:
        # A controller that dies leaves its reservation behind, and nothing else could ever start in its place.
        with suppress(RayError):
            if (group := ray.get(self.pool.pop_group.remote(name))) is not None:
                remove_placement_group(group)

    def _kill(self) -> None:
        for name, thread in self.threads.items():
            with suppress(RayError):
                if thread.is_alive() and (controller := ray.get(self.pool.controller.remote(name))) is not None:
                    ray.kill(controller)

    def _wait(self, patience_s: float, act: Callable[[], None]) -> None:
        deadline = time.monotonic() + patience_s
        while any(thread.is_alive() for thread in self.threads.values()) and time.monotonic() < deadline:
            act()
            time.sleep(0.05)
