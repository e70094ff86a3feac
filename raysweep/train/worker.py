"""The worker processes of a gang, which Ray Train starts: they live as long as the sweep and train trial after trial.

Starting a trainer for each trial costs some twenty seconds; a gang pays them once. Its workers ask the pool for a
trial, report each epoch, and ask for the next trial.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import ray
import torch
from ray import cloudpickle
from ray.train import get_context
from ray.train.torch import get_device

from raysweep.errors import ElsewhereError, OutOfMemoryError, RaysweepError
from raysweep.train.memory import GIB
from raysweep.train.task import Placement, TrialTask

Answer = TypeVar("Answer")
MEMORY_ERRORS = (OutOfMemoryError, torch.OutOfMemoryError, MemoryError)
PARENT_S = 0.5
"""Seconds between checks that this worker's node is still alive."""
BEAT_S = 5.0
"""Seconds between a running trial's heartbeats."""
NODE_LEAVES = "the node is about to be taken away"


@dataclass(frozen=True)
class GangShape:
    """The resources of one trial: worker processes, and CPUs and GPUs for each."""

    workers: int = 1
    cpus: int = 1
    gpus: float = 0.0
    memory_gib: float = 0.0
    """Memory of the node reserved for each worker; 0: none is reserved."""

    @property
    def resources(self) -> dict[str, float]:
        """The resources that Ray reserves for one worker."""
        named = {"CPU": float(self.cpus), "GPU": self.gpus, "memory": self.memory_gib * GIB}
        return {name: amount for name, amount in named.items() if amount}


@dataclass(frozen=True)
class Gang:
    """One gang as its workers know it."""

    name: str
    shape: GangShape
    pool: Any
    """Handle of the pool actor."""
    train: Callable[[TrialTask, Placement, int], Iterator[dict[str, Any]]]
    share_images: bool = False
    """Whether trials of other gangs may run on the same node."""
    threads: int = 1
    """Threads of each worker: one per CPU, except for a gang with a node to itself."""
    owner: str = ""
    """The sweep, which claims its trials in the store."""
    avoid: frozenset[str] = frozenset()
    """Ids of the nodes on which it must not start."""


def gang_loop(setup: dict[str, Any]) -> None:
    """Run one worker process: train trials from the pool until there are no more."""
    worker = _Worker(setup["gang"])
    torch.set_num_threads(worker.place.threads)
    if worker.place.device != "cpu" and worker.gang.shape.gpus < 1:
        # A trial that exceeds its share runs out of memory itself, instead of the trials that share its GPU.
        torch.cuda.set_per_process_memory_fraction(worker.gang.shape.gpus)
    _end_with_parent()
    life = worker.call("settle", ray.get_runtime_context().get_node_id(), worker.place.rank)
    while (offer := worker.ask("take", life)) is not None:
        if offer.leave:
            raise RuntimeError(NODE_LEAVES)
        if offer.task is not None:
            worker.train(offer.task, offer.attempt, offer.alone)


def _end_with_parent() -> None:
    # When the node's process, its parent, is gone, Ray lets a worker train on for minutes, while another worker already
    # trains the same trial.
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _placement(gang: Gang, on_step: Callable[[], bool], on_wait: Callable[[str], None]) -> Placement:
    context, shape = get_context(), gang.shape
    # A cluster may count GPUs that torch cannot use; Train would still choose one.
    device = str(get_device()) if shape.gpus and torch.cuda.is_available() else "cpu"
    # Ranks on different nodes would each decode images that only the others need.
    share = gang.share_images and context.get_local_world_size() == context.get_world_size()
    rank, size = context.get_world_rank(), context.get_world_size()
    return Placement(
        rank, size, device, gang.threads, share, shape.gpus, on_step=on_step, on_wait=on_wait, owner=gang.owner
    )


class _Worker:
    """One process of a gang; all its ranks get the same answers from the pool."""

    def __init__(self, gang: Gang) -> None:
        self.gang = gang
        self.place = _placement(gang, self._step, self._wait)
        self.next_beat = 0.0
        self.answer: Any = None

    def ask(self, question: str, *details: Any) -> Any:
        """Return the pool's answer to rank 0."""
        return agree(self.place, lambda: self.call(question, *details))

    def call(self, method: str, *details: Any) -> Any:
        """Return the pool's answer to this rank."""
        return ray.get(getattr(self.gang.pool, method).remote(self.gang.name, *details))

    def train(self, task: TrialTask, attempt: int, alone: bool = False) -> None:
        """Make one attempt at a trial; returns when it has ended, been stopped, or failed without harm to the process.

        Raises:
            Exception: the attempt failed and this process must be replaced.
        """
        if self.place.rank == 0:
            self.gang.pool.show.options(name=f"{task.name} ({task.trial})").remote(self.gang.name, task.trial, attempt)
        place = replace(self.place, alone=alone, agree=partial(agree, self.place))
        try:
            with closing(self.gang.train(task, place, attempt)) as rows:  # type: ignore[type-var]
                for row in rows:
                    if not self.ask("report", task.trial, attempt, row):
                        break
        except ElsewhereError as error:
            if self.place.rank == 0:
                self.call("release", task.trial, attempt, "", False, False, error.where)
            if error.lost and self.place.world_size > 1:  # the other ranks wait for this one
                raise
        except Exception as error:  # whatever a trial raises is a failure of that trial
            text = "".join(traceback.format_exception(error))
            hopeless, short = isinstance(error, RaysweepError), isinstance(error, MEMORY_ERRORS)
            self.call("release", task.trial, attempt, text, hopeless, short)
            if is_fatal(error, self.place):
                raise
        else:
            if self.place.rank == 0:
                self.call("release", task.trial, attempt)

    def _step(self) -> bool:
        # No other rank can continue when rank 0 does not. Training does not wait for the pool's answer.
        if self.place.rank == 0 and time.monotonic() >= self.next_beat:
            self.next_beat = time.monotonic() + BEAT_S
            self.answer = self.gang.pool.beat.remote(self.gang.name)
        if self.answer is None or not ray.wait([self.answer], timeout=0)[0]:
            return False
        leave, self.answer = ray.get(self.answer), None
        return bool(leave) and self.place.world_size == 1

    def _wait(self, reason: str) -> None:
        self.gang.pool.beat.remote(self.gang.name, reason)


def agree(place: Placement, ask: Callable[[], Answer]) -> Answer:
    """Return rank 0's answer on every rank."""
    if place.world_size == 1:
        return ask()
    # torch's own pickling fails on what is defined in __main__.
    parcel = [cloudpickle.dumps(ask()) if place.rank == 0 else None]
    torch.distributed.broadcast_object_list(parcel, src=0)
    answer: Answer = cloudpickle.loads(parcel[0])
    return answer


def is_fatal(error: Exception, place: Placement) -> bool:
    """Return whether the process must be replaced: other ranks wait in a collective, or memory or device may be bad."""
    on_device = place.device != "cpu" and isinstance(error, RuntimeError)
    return place.world_size > 1 or on_device or isinstance(error, MemoryError)
