"""Starts a gang through Ray Train, and reports crashes to the pool.

Train's public trainer keeps its controller to itself, and its public callbacks cannot end a run; the classes here are
built on the parts that it is made of.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, NodeDiedError, RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.util import placement_group

from raysweep.orchestrate.ray_private import (
    RAY_NODE_ID_KEY,
    ControllerCallback,
    DatasetsCallback,
    DefaultPlacementGroupHandle,
    PlacementGroupCleanerCallback,
    ReschedulingState,
    RestartingState,
    TrainController,
    WorkerGroup,
    WorkerGroupCallback,
    WorkerGroupStartupTimeoutError,
    get_env_vars_to_propagate,
)
from raysweep.orchestrate.rendezvous import Rendezvous
from raysweep.train.worker import NODE_LEAVES, Gang, gang_loop

SIGNS_OF_LOSS = (NODE_LEAVES, "node has died", "node is dead", "ActorUnavailableError")
"""Parts of the texts in which Train wraps errors."""


def run_gang(gang: Gang, run_name: str, storage: Path, on_start: Callable[[Any], None]) -> None:
    """Start the gang's workers and keep them alive until the pool no longer needs them.

    `on_start` receives Train's controller; killing it ends the gang at once. The gang's placement groups are named
    RUN_NAME/...: they outlive a killed controller.

    Raises:
        Exception: Train's controller died, was killed, or gave the gang up.
    """
    shape = gang.shape
    backend = "nccl" if shape.gpus and shape.workers > 1 else "gloo"
    trainer = _GangTrainer(
        gang_loop,
        train_loop_config={"gang": gang},
        torch_config=Rendezvous(backend=backend),
        scaling_config=ScalingConfig(
            num_workers=shape.workers, use_gpu=bool(shape.gpus), resources_per_worker=shape.resources
        ),
        run_config=RunConfig(
            name=run_name,
            storage_path=str(storage),
            # The pool counts attempts per trial, and also ends a gang that cannot start.
            failure_config=FailureConfig(max_failures=-1),
            callbacks=[_Lifeline(gang.name, gang.pool)],
        ),
    )
    trainer.on_start = on_start
    trainer.fit()


class _GangTrainer(TorchTrainer):  # type: ignore[misc]
    """Train's trainer without two helper processes per gang, each of which costs a third of a worker's start.

    Our images do not come from Ray Data, and the driver removes the placement group of a dead controller.
    """

    on_start: Callable[[Any], None]

    def _create_default_callbacks(self) -> list[Any]:
        unwanted = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, unwanted)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        # As in Train, which does not hand out the controller; one that cannot be killed while it starts would block.
        here = {RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
        environment = {"env_vars": get_env_vars_to_propagate()}
        actor = ray.remote(num_cpus=0, label_selector=here, runtime_env=environment)(GangController)
        controller = actor.remote(**settings)
        self.on_start(controller)
        ray.get(controller.run.remote())
        return ray.get(controller.get_result.remote())


class _NamedGroup(WorkerGroup):  # type: ignore[misc]
    """Train's worker group, with a name for its placement group by which the driver finds it."""

    def _create_placement_group(self, scaling: ScalingConfig, wanted: Any) -> Any:
        name = f"{self._train_run_context.run_config.name}/{uuid.uuid4().hex}"
        bundles = [wanted.resources_per_worker] * wanted.num_workers
        avoid = ",".join(sorted(self._train_run_context.train_loop_config["gang"].avoid))
        where = [{RAY_NODE_ID_KEY: f"!in({avoid})"}] * wanted.num_workers if avoid else None
        group = placement_group(bundles, wanted.placement_strategy, name, bundle_label_selector=where)
        return DefaultPlacementGroupHandle(group)


class GangController(TrainController):  # type: ignore[misc]
    """Train's controller of one gang."""

    worker_group_cls = _NamedGroup


class _Lifeline(ControllerCallback, WorkerGroupCallback):  # type: ignore[misc]
    """Runs in Train's controller and asks the pool whether to start, and whether to restart after a crash."""

    def __init__(self, gang: str, pool: Any) -> None:
        self.gang = gang
        self.pool = pool

    def after_controller_start(self, train_run_context: object) -> None:
        """Ask whether the gang is still wanted."""
        self._go_on("is_wanted")

    def before_init_train_context(self, workers: list[Any]) -> dict[str, list[Any]]:
        """Report the nodes before anything of ours is loaded there, which may be what fails."""
        nodes = {worker.metadata.node_id: worker.metadata.node_ip for worker in workers}
        ray.get(self.pool.place.remote(self.gang, nodes))
        return {}

    def after_controller_state_update(self, previous_state: object, current_state: object) -> None:
        """Report a crash from which Train would restart; waiting for resources is not one."""
        if not isinstance(current_state, (RestartingState, ReschedulingState)):
            return
        error = current_state.training_failed_error
        if not isinstance(getattr(error, "controller_failure", None), WorkerGroupStartupTimeoutError):
            self._go_on("crashed", str(error), is_loss(error))

    def _go_on(self, method: str, *details: object) -> None:
        if not ray.get(getattr(self.pool, method).remote(self.gang, *details)):
            raise RuntimeError(f"{self.gang} is no longer wanted")


def is_loss(error: BaseException) -> bool:
    """Return whether a gang died with its node or its controller, through no fault of a trial.

    A node reports the death of its workers to Ray; when the node dies too, Ray only loses contact.
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
