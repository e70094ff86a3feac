"""Every private or undocumented name of Ray that raysweep uses, with the reason: what to check when Ray is upgraded.

Names are looked up when first used, so importing this file needs no Ray. `from raysweep.orchestrate.ray_private import
WorkerGroup` works for every key of `NAMES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

TRAIN = "ray.train.v2._internal"
NAMES = {
    # The address that `ray start` left on this machine; after a kill of that cluster ray.init would try it for minutes.
    "get_ray_address_file": "ray._private.utils",
    # Draining nodes and the cluster description of Kubernetes; the public state API needs the dashboard.
    "state": "ray._private.state",
    # The smallest object store that Ray accepts.
    "OBJECT_STORE_MINIMUM_MEMORY_BYTES": "ray._private.ray_constants",
    # The process id of an actor, for benchmarks; the public list of actors needs the dashboard.
    "actors": "ray._private.state",
    # The label that places an actor on a given node, as Ray Train itself places its controllers.
    "RAY_NODE_ID_KEY": "ray._raylet",
    # The callback with which Tune prints results even at verbose=0; ours takes its place.
    "TrialProgressCallback": "ray.tune.progress_reporter",
    # The name under which Tune's searchers read the epoch.
    "TRAINING_ITERATION": "ray.tune.result",
    # Two helper processes per gang that the sweep does not need.
    "DatasetsCallback": f"{TRAIN}.callbacks.datasets",
    "PlacementGroupCleanerCallback": f"{TRAIN}.callbacks.placement_group_callback",
    # What Train's trainer passes on to its controller, which we start ourselves to keep its handle.
    "get_env_vars_to_propagate": f"{TRAIN}.constants",
    # Train's public callbacks cannot end a run; this kind runs in the controller and sees every restart.
    "ControllerCallback": f"{TRAIN}.execution.callback",
    # Its first hook knows the nodes of a gang, whose workers may crash before they can report them.
    "WorkerGroupCallback": f"{TRAIN}.execution.callback",
    "ReschedulingState": f"{TRAIN}.execution.controller.state",
    "RestartingState": f"{TRAIN}.execution.controller.state",
    "WorkerGroupStartupTimeoutError": f"{TRAIN}.exceptions",
    # Subclassed to connect a gang's workers without a port that is open to other machines.
    "_TorchBackend": "ray.train.torch.config",
    "_set_torch_distributed_env_vars": "ray.train.torch.config",
    # Subclassed to name the placement group of a gang, by which the driver finds it when the controller is dead.
    "TrainController": f"{TRAIN}.execution.controller",
    "WorkerGroup": f"{TRAIN}.execution.worker_group",
    "DefaultPlacementGroupHandle": f"{TRAIN}.execution.worker_group.placement_group_handle",
    # Simulated clusters of several nodes, for tests.
    "Cluster": "ray.cluster_utils",
}
"""Name -> module."""

UV_RUN = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"
"""Switch: below `uv run`, send the working directory to all workers and put it on their paths."""
OTHER_NODES = "ENABLE_RAY_CLUSTER"
"""Switch: listen on all interfaces and not on the loopback interface alone, as on macOS."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""The environment variable that turns `OTHER_NODES` off in other processes."""
FIRST_CALL = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What every driver first asks the head of a cluster; without the token, Ray would ask for it for a minute."""

ATTRIBUTES = {
    "ray._private.state:state": ("get_draining_nodes", "get_cluster_config"),
    "ray._private.services": ("ConsolePopen",),
    "ray._private.worker": ("_worker_logs_enabled",),
    "ray._private.ray_constants": (OTHER_NODES, UV_RUN),
    "ray._private.grpc_utils": ("init_grpc_channel",),
    "ray._raylet:Config": ("initialize",),
    "ray._raylet:AuthenticationTokenLoader": ("instance", "has_token", "reset_cache"),
    "ray.job_config:JobConfig": ("_get_proto_job_config", "_py_driver_sys_path"),
    "ray.cluster_utils:Cluster": ("add_node", "remove_node", "shutdown", "address", "head_node"),
    "ray._private.node:Node": ("all_processes", "kill_gcs_server", "node_id"),
    "ray.train.torch:TorchTrainer": ("_create_default_callbacks", "_initialize_and_run_controller"),
    f"{TRAIN}.execution.controller:TrainController": ("worker_group_cls", "run", "get_result"),
    f"{TRAIN}.execution.worker_group:WorkerGroup": ("_create_placement_group", "_train_run_context"),
    f"{TRAIN}.execution.callback:WorkerGroupCallback": ("before_init_train_context",),
    f"{TRAIN}.execution.callback:ControllerCallback": ("after_controller_start", "after_controller_state_update"),
    "ray.tune.progress_reporter:TrialProgressCallback": ("log_result", "on_trial_complete"),
    "ray.tune.schedulers:AsyncHyperBandScheduler": ("_trial_info", "_brackets"),
    "ray.tune.schedulers.async_hyperband:_Bracket": ("_rungs", "cutoff", "rf"),
    "ray.tune.schedulers:MedianStoppingRule": (
        *("_stopped_trials", "_running_mean", "_trials_beyond_time", "_results"),
    ),
    "ray.tune.search:ConcurrencyLimiter": ("max_concurrent",),
    "ray.tune.search.optuna:OptunaSearch": ("_ot_study",),
}
"""module:class -> private attributes that the functions below use, and methods that our subclasses override."""

SETTINGS = {
    # Tune's older output, the one that verbose=0 silences.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune does not print tracebacks; the sweep reports failures itself.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # No process per gang that watches for nodes about to be taken away: `health` does that for all.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Environment variables that Ray's documentation does not mention."""


THREAD_TIMEOUT = "TUNE_FUNCTION_THREAD_TIMEOUT_S"
"""How long Tune waits for a function when it stops its trial; after the default of 2 s it would hang forever."""

HEAD = {"node:__internal_head__": 0.001}
"""Resources that pin an actor to the head node while reserving next to nothing there."""


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(NAMES[name]), name)


@contextmanager
def own_sessions() -> Iterator[None]:
    """Start Ray's processes in sessions of their own: what a terminal or `timeout` sends to the group misses them."""
    services: Any = import_module("ray._private.services")
    before = services.ConsolePopen
    services.ConsolePopen = partial(before, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = before


def job_config(metadata: Mapping[str, str]) -> Any:
    """Return the description of a job whose workers search for modules where their own Python does.

    Ray would put the folder of the driver's script and the working directory first.
    """
    base: Any = import_module("ray.job_config").JobConfig

    class Config(base):  # type: ignore[misc]
        def _get_proto_job_config(self) -> Any:
            self._py_driver_sys_path: list[str] = []
            return super()._get_proto_job_config()

    return Config(metadata=dict(metadata))


@contextmanager
def without(*switches: str) -> Iterator[None]:
    """Turn off some of Ray's switches, which are environment variables that are read when Ray is imported."""
    constants: Any = import_module("ray._private.ray_constants")
    before = {name: getattr(constants, name) for name in switches}
    vars(constants).update(dict.fromkeys(switches, False))
    try:
        yield
    finally:
        vars(constants).update(before)


def requires_token(address: str, patience_s: float) -> bool:
    """Return whether the cluster at host:port requires a token; call it where RAY_AUTH_MODE is disabled.

    Raises:
        OSError: no cluster answers there in this time.
    """
    grpc: Any = import_module("grpc")
    options = (("grpc.enable_http_proxy", 0),)
    with import_module("ray._private.grpc_utils").init_grpc_channel(address, options) as channel:
        try:
            channel.unary_unary(FIRST_CALL)(b"", timeout=patience_s, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                return True
            raise OSError(f"it has not answered as Ray does within {patience_s:.0f} s") from None
    return False


def reread_authentication() -> None:
    """Let Ray read RAY_AUTH_MODE and the token again; it does so once per process."""
    raylet: Any = import_module("ray._raylet")
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def has_token() -> bool:
    """Return whether a token is at hand, in the environment or the home folder."""
    loader: Any = import_module("ray._raylet").AuthenticationTokenLoader.instance()
    loader.reset_cache()
    return bool(loader.has_token(ignore_auth_mode=True))


def print_worker_logs(enabled: bool) -> None:
    """Switch Ray's printed reports of dead processes on or off, as its debugger does; `log_to_driver` leaves them."""
    worker: Any = import_module("ray._private.worker")
    worker._worker_logs_enabled = enabled


def asha_rung(scheduler: Any, trial: str, epoch: float) -> tuple[float, float | None, float]:
    """Return the highest rung that a trial has reached, the top-1 needed to pass it, and the reduction factor."""
    bracket = scheduler._trial_info[trial]
    rungs = [(milestone, recorded) for milestone, recorded in bracket._rungs if milestone <= epoch]
    rung, recorded = rungs[0] if rungs else (0, {})
    return rung, bracket.cutoff(recorded), bracket.rf


def median_means(scheduler: Any, trial: Any, epoch: float) -> list[float]:
    """Return the running means of all other trials, which the median rule compares with."""
    others = (other for other in scheduler._trials_beyond_time(epoch) if other != trial)
    return [scheduler._running_mean(other, epoch) for other in others]


def median_results(scheduler: Any, trial: Any) -> list[dict[str, Any]]:
    """Return the results of a trial that the median rule has seen."""
    return list(scheduler._results[trial])


def forget_stop(scheduler: Any, trial: Any) -> None:
    """Let the median rule accept further results of a trial that it has stopped."""
    scheduler._stopped_trials.discard(trial)
