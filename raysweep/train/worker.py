"""What Ray Train starts: gangs of worker processes that live as long as the sweep and train one trial after another.

Starting a trainer for each trial costs some twenty seconds; a gang pays them once. It asks the pool for a trial,
reports each epoch to it, and asks for the next.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, NodeDiedError, RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device

# Train's public callbacks may not end a run, and its public trainer keeps its controller to itself; these are the parts
# it is built from.
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.controller.state import ReschedulingState, RestartingState
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.util import placement_group

from raysweep.errors import OutOfMemoryError, RaysweepError
from raysweep.train.memory import GIB
from raysweep.train.task import Placement, TrialTask

Answer = TypeVar("Answer")
MEMORY_ERRORS = (OutOfMemoryError, torch.OutOfMemoryError, MemoryError)
PARENT_S = 0.5
"""Between looks at whether this worker's node is still there."""
BEAT_S = 5.0
"""Time between signs of life of a trial that gets on."""
NODE_LEAVES = "the node is about to be taken away"
SIGNS_OF_LOSS = (NODE_LEAVES, "node has died", "node is dead", "ActorUnavailableError")
"""In the texts that Train wraps errors in."""


@dataclass(frozen=True)
class GangShape:
    """What one trial is given: worker processes, and CPUs and GPUs for each."""

    workers: int = 1
    cpus: int = 1
    gpus: float = 0.0
    memory_gib: float = 0.0
    """Of the node, for each worker; 0: not reserved."""

    @property
    def resources(self) -> dict[str, float]:
        """What Ray reserves for one worker."""
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
    """Of each worker; as many CPUs, but where it has a node to itself."""


def run_gang(gang: Gang, run_name: str, storage: Path, on_start: Callable[[Any], None]) -> None:
    """Start the gang's workers and keep them alive until the pool wants no more of it.

    `on_start` is handed Train's controller, which has to be killed to end the gang at once. The gang's placement
    groups are named RUN_NAME/...: they outlive a controller that is killed.

    Raises:
        Exception: Train's controller died, was killed, or gave the gang up.
    """
    shape = gang.shape
    backend = "nccl" if shape.gpus and shape.workers > 1 else "gloo"
    trainer = _GangTrainer(
        gang_loop,
        train_loop_config={"gang": gang},
        torch_config=TorchConfig(backend=backend),
        scaling_config=ScalingConfig(
            num_workers=shape.workers, use_gpu=bool(shape.gpus), resources_per_worker=shape.resources
        ),
        run_config=RunConfig(
            name=run_name,
            storage_path=str(storage),
            # Attempts are counted for each trial, by the pool, which also ends a gang that cannot start.
            failure_config=FailureConfig(max_failures=-1),
            callbacks=[_Lifeline(gang.name, gang.pool)],
        ),
    )
    trainer.on_start = on_start
    trainer.fit()


class _GangTrainer(TorchTrainer):  # type: ignore[misc]
    """Train's trainer without two helper processes a gang, each a third of what a worker costs to start.

    Our images do not come from Ray Data, and the driver sees to the placement group of a dead controller.
    """

    on_start: Callable[[Any], None]

    def _create_default_callbacks(self) -> list[Any]:
        unwanted = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, unwanted)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        # As in Train, which keeps the handle to itself: what cannot be killed while it starts would be waited for.
        here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
        actor = ray.remote(num_cpus=0, label_selector=here, runtime_env={"env_vars": get_env_vars_to_propagate()})(
            GangController
        )
        controller = actor.remote(**settings)
        self.on_start(controller)
        ray.get(controller.run.remote())
        return ray.get(controller.get_result.remote())


class _NamedGroup(WorkerGroup):  # type: ignore[misc]
    """Train's worker group, its placement group under a name by which the driver finds it."""

    def _create_placement_group(self, scaling: ScalingConfig, wanted: Any) -> DefaultPlacementGroupHandle:
        name = f"{self._train_run_context.run_config.name}/{uuid.uuid4().hex}"
        bundles = [wanted.resources_per_worker] * wanted.num_workers
        return DefaultPlacementGroupHandle(placement_group(bundles, wanted.placement_strategy, name))


class GangController(TrainController):  # type: ignore[misc]
    """Train's controller of one gang."""

    worker_group_cls = _NamedGroup


class _Lifeline(ControllerCallback):  # type: ignore[misc]
    """Runs in Train's controller, and asks the pool whether to start and to restart after a crash."""

    def __init__(self, gang: str, pool: Any) -> None:
        self.gang = gang
        self.pool = pool

    def after_controller_start(self, train_run_context: object) -> None:
        """Ask whether the gang is still wanted."""
        self._go_on("is_wanted")

    def after_controller_state_update(self, previous_state: object, current_state: object) -> None:
        """Tell the pool of a crash that Train would restart from; waiting for resources is none."""
        if not isinstance(current_state, (RestartingState, ReschedulingState)):
            return
        error = current_state.training_failed_error
        if not isinstance(getattr(error, "controller_failure", None), WorkerGroupStartupTimeoutError):
            self._go_on("crashed", str(error), is_loss(error))

    def _go_on(self, method: str, *details: object) -> None:
        if not ray.get(getattr(self.pool, method).remote(self.gang, *details)):
            raise RuntimeError(f"{self.gang} is no longer wanted")


def is_loss(error: BaseException) -> bool:
    """Whether a gang fell to its node or its controller, through no fault of a trial.

    Of a worker that dies alone its node tells Ray; of one whose node dies too, Ray has only lost sight.
    """
    if isinstance(error, RayActorError):  # the controller itself
        return "creation task" not in str(error)
    causes = [error, *getattr(error, "worker_failures", {}).values()]
    causes += [
        getattr(cause, name, None) for cause in causes for name in ("controller_failure", "health_check_failure")
    ]
    if any(isinstance(cause, (ActorUnavailableError, NodeDiedError)) for cause in causes):
        return True
    return any(sign in str(cause) for cause in causes for sign in SIGNS_OF_LOSS)


def gang_loop(setup: dict[str, Any]) -> None:
    """What each worker process runs: trials from the pool until there are no more."""
    worker = _Worker(setup["gang"])
    torch.set_num_threads(worker.place.threads)
    if worker.place.device != "cpu" and worker.gang.shape.gpus < 1:
        # Who takes more than its share is out of memory itself, not the trials beside it.
        torch.cuda.set_per_process_memory_fraction(worker.gang.shape.gpus)
    _end_with_parent()
    life = worker.call("settle", ray.get_runtime_context().get_node_id(), worker.place.rank)
    while (offer := worker.ask("take", life)) is not None:
        if offer.leave:
            raise RuntimeError(NODE_LEAVES)
        if offer.task is not None:
            worker.train(offer.task, offer.attempt, offer.alone)


def _end_with_parent() -> None:
    # Ray lets a worker train on for minutes when the process that started it, its node, is gone: beside another worker
    # by then, at the same trial.
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _placement(gang: Gang, on_step: Callable[[], bool], on_wait: Callable[[str], None]) -> Placement:
    context, shape = get_context(), gang.shape
    # A cluster may count GPUs that torch cannot use; Train's own choice would name one all the same.
    device = str(get_device()) if shape.gpus and torch.cuda.is_available() else "cpu"
    # Ranks on several nodes would each decode what only the others need.
    share = gang.share_images and context.get_local_world_size() == context.get_world_size()
    return Placement(
        context.get_world_rank(),
        context.get_world_size(),
        device,
        gang.threads,
        share,
        shape.gpus,
        on_step=on_step,
        on_wait=on_wait,
    )


class _Worker:
    """One process of a gang: all its ranks hear the same answers from the pool."""

    def __init__(self, gang: Gang) -> None:
        self.gang = gang
        self.place = _placement(gang, self._step, self._wait)
        self.next_beat = 0.0
        self.answer: Any = None

    def ask(self, question: str, *details: Any) -> Any:
        """The pool's answer, asked for by rank 0."""
        return agree(self.place, lambda: self.call(question, *details))

    def call(self, method: str, *details: Any) -> Any:
        """The pool's answer, asked for by this rank."""
        return ray.get(getattr(self.gang.pool, method).remote(self.gang.name, *details))

    def train(self, task: TrialTask, attempt: int, alone: bool = False) -> None:
        """One attempt at a trial; returns when it has ended, been stopped, or failed in a way this process survives."""
        if self.place.rank == 0:
            self.gang.pool.show.options(name=f"{task.name} ({task.trial})").remote(self.gang.name, task.trial, attempt)
        place = replace(self.place, alone=alone)
        try:
            with closing(self.gang.train(task, place, attempt)) as rows:  # type: ignore[type-var]
                for row in rows:
                    if not self.ask("report", task.trial, attempt, row):
                        break
        except Exception as error:  # whatever a trial raises is that trial's failure
            text = "".join(traceback.format_exception(error))
            hopeless, short = isinstance(error, RaysweepError), isinstance(error, MEMORY_ERRORS)
            self.call("release", task.trial, attempt, text, hopeless, short)
            if is_fatal(error, self.place):
                raise
        else:
            if self.place.rank == 0:
                self.call("release", task.trial, attempt)

    def _step(self) -> bool:
        # No other rank can go on where rank 0 does not. The training does not wait for the pool's answer.
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
    """What rank 0 is answered, on every rank."""
    if place.world_size == 1:
        return ask()
    # torch's own pickling fails on what is defined in __main__.
    parcel = [cloudpickle.dumps(ask()) if place.rank == 0 else None]
    torch.distributed.broadcast_object_list(parcel, src=0)
    answer: Answer = cloudpickle.loads(parcel[0])
    return answer


def is_fatal(error: Exception, place: Placement) -> bool:
    """Whether the process must be replaced: a rank waits in a collective, or memory or device are not to be trusted."""
    on_device = place.device != "cpu" and isinstance(error, RuntimeError)
    return place.world_size > 1 or on_device or isinstance(error, MemoryError)
