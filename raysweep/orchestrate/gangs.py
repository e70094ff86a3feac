"""Keeps the gangs of a sweep running: one thread of the driver for each, blocked in Train's `fit`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import PlacementGroupID
from ray.exceptions import RayError
from ray.util import placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from raysweep.orchestrate.gang_trainer import is_loss, run_gang
from raysweep.train.worker import Gang

KILL_S = 60.0
"""Longest wait for the threads of killed gangs.

Ray must not shut down while a thread waits for it: the process would die by a signal.
"""


class Gangs:
    """The gangs of one sweep on one Ray session."""

    def __init__(self, pool: Any, storage: Path, boot: str) -> None:
        """`boot` distinguishes this start of the sweep from earlier ones, so Train never resumes an old run's state."""
        self.pool = pool
        self.storage = storage
        self.boot = boot
        self.stopping = threading.Event()
        self.adding = threading.Lock()
        """Held while a gang is added and while adding ends, so that no thread starts unseen."""
        self.threads: dict[str, threading.Thread] = {}
        self.controllers: dict[str, Any] = {}

    def add(self, gang: Gang, wide: bool = False) -> None:
        """Start a gang, at any time during the sweep until it stops; a wide one has a device to itself."""
        ray.get(self.pool.enlist.remote(gang.name, wide))
        with self.adding:
            if not self.stopping.is_set():
                self.threads[gang.name] = threading.Thread(target=self._keep, args=(gang,), daemon=True, name=gang.name)
                self.threads[gang.name].start()

    def kill(self, names: Iterable[str]) -> None:
        """Kill gangs with everything they run; those that are still wanted start again."""
        for name in names:
            if (controller := self.controllers.get(name)) is not None:
                with suppress(RayError):
                    ray.kill(controller)

    def stop(self, patience_s: float) -> None:
        """Wait for the gangs of a closed pool to end, then kill the rest."""
        with self.adding:
            self.stopping.set()
        self._wait(patience_s)
        self.kill([name for name, thread in list(self.threads.items()) if thread.is_alive()])
        self._wait(KILL_S)
        self._free(f"{self.boot}-")

    def _keep(self, gang: Gang) -> None:
        for life in itertools.count():
            run_name = f"{self.boot}-{gang.name}-{life}"
            try:
                return run_gang(gang, run_name, self.storage, partial(self._started, gang.name))
            except Exception as error:  # Ray raises many types when a controller is gone
                if self.stopping.is_set() or not self._revive(gang.name, run_name, error):
                    return None

    def _started(self, name: str, controller: Any) -> None:
        self.controllers[name] = controller
        if self.stopping.is_set():
            self.kill([name])

    def _revive(self, name: str, run_name: str, error: Exception) -> bool:
        self._free(f"{run_name}/")
        with suppress(RayError):
            return bool(ray.get(self.pool.crashed.remote(name, str(error), is_loss(error))))
        return False

    def _free(self, prefix: str) -> None:
        # A controller that dies leaves its reservation behind, and nothing could ever start in its place.
        with suppress(RayError):
            for key, state in _groups(prefix):
                if state != "REMOVED":
                    remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(key)))

    def num_waiting(self) -> int:
        """Return the number of gangs that no node has room for; one that has room and is starting does not count."""
        return sum(state in ("PENDING", "RESCHEDULING") for _, state in _groups(f"{self.boot}-"))

    def _wait(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        for thread in list(self.threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))


def _groups(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield ids and states of the placement groups whose names begin with the prefix."""
    for key, group in placement_group_table().items():
        if group["name"].startswith(prefix):
            yield key, group["state"]
