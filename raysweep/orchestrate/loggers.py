"""TensorBoard, MLflow and Weights & Biases, through Ray Tune's logger callbacks.

The sweep's own events drive them: Tune knows only the id of a trial, and neither that it failed nor why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError, unknown
from raysweep.orchestrate.events import ENDS, Event, OnEvent, Row, headline
from raysweep.patch import diff
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.train.task import TrialTask

STEP = "training_iteration"
"""The step for Tune's loggers: here the epoch, also of a resumed trial."""
NOT_MEASURED = ("epoch", "planned_epochs", "attempt")
UPLOAD_S = 60
"""How long W&B may keep uploading after the sweep."""


@dataclass(frozen=True)
class Kind:
    """A tool to log to."""

    package: str
    """The package that it needs; the extra with the tool's name installs it."""
    place: str
    """The default place to log to."""
    make: Callable[[str], Any]
    """Makes Tune's callback for a place."""


def _tensorboard(place: str) -> Any:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()


def _mlflow(place: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(place, experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", "raysweep"))


def _wandb(place: str) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    from ray.air.integrations.wandb import WandbLoggerCallback

    mode = os.environ.get("WANDB_MODE")  # its processes may have another environment
    return WandbLoggerCallback(place, upload_timeout=UPLOAD_S, resume="allow", mode=mode)


KINDS = {
    "tensorboard": Kind("tensorboardX", "tensorboard", _tensorboard),
    "mlflow": Kind("mlflow", "sqlite:///mlflow.db", _mlflow),
    "wandb": Kind("wandb", "raysweep", _wandb),
}


def parse_place(text: str) -> tuple[str, str]:
    """Split `tensorboard:FOLDER`, `mlflow:TRACKING_URI` or `wandb:PROJECT`; each tool has a default place.

    Raises:
        RaysweepError: an unknown tool, or one that is not installed.
    """
    name, _, place = text.partition(":")
    if (kind := KINDS.get(name)) is None:
        raise unknown("logging tool", name, KINDS)
    if find_spec(kind.package) is None:
        raise RaysweepError(
            f"--log-to {name} requires {kind.package}, which is not installed: pip install 'raysweep[{name}]'."
        )
    return name, place or kind.place


@dataclass(eq=False)
class LoggedTrial:
    """The attributes of a Tune trial that Tune's loggers read."""

    trial_id: str
    name: str
    experiment_dir_name: str
    local_path: str
    config: dict[str, Any]

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """The parameters in TensorBoard's table."""
        return self.config

    def init_local_path(self) -> None:
        """Create the folder."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.name


def parameters(task: TrialTask) -> dict[str, Any]:
    """Return a trial's study, variant and seed, and where its recipe differs from the protocol, for loggers."""
    names = {"study": task.study, "variant": task.variant, "seed": task.recipe.seed, "protocol": task.protocol}
    changes = diff(task.recipe, find_protocol(task.protocol) if task.protocol else Recipe())
    plain = {path: value if isinstance(value, (bool, int, float)) else str(value) for path, value in changes.items()}
    return names | {"trial": task.trial} | plain


def measured(row: Row) -> dict[str, float]:
    """Return the numbers of an epoch, with the step under Tune's name."""
    numbers = {
        name: value for name, value in row.items() if isinstance(value, (int, float)) and name not in NOT_MEASURED
    }
    return numbers | {STEP: row["epoch"]} if "epoch" in row else numbers


@dataclass
class _Log:
    """One tool at one place, with its open trials."""

    name: str
    place: str
    callback: Any
    trials: dict[str, LoggedTrial] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def take(self, event: Event, task: TrialTask) -> None:
        if task.trial not in self.trials:
            self.trials[task.trial] = self._trial(task)
            self.callback.log_trial_start(self.trials[task.trial])
        if event.kind == "epoch":
            self.steps[task.trial] = event.row["epoch"]
            self._log(task.trial, measured(event.row))
        elif event.kind in ENDS:
            # Diverged is a result, not a failure: each end is a number of its own, so that tools can filter by it.
            self._log(task.trial, {event.kind: 1, STEP: self.steps.get(task.trial, 0)})
            self._end(task.trial, event.kind == "failed")

    def close(self) -> None:
        """Close the trials that an interrupted sweep leaves open, and let uploads finish."""
        for trial in list(self.trials):
            self._end(trial, failed=False)
        self.callback.on_experiment_end([])

    def _log(self, trial: str, numbers: Mapping[str, float]) -> None:
        self.callback.log_trial_result(int(numbers[STEP]), self.trials[trial], dict(numbers))

    def _end(self, trial: str, failed: bool) -> None:
        self.callback.log_trial_end(self.trials.pop(trial), failed=failed)

    def _trial(self, task: TrialTask) -> LoggedTrial:
        folder = Path.cwd()
        if self.name == "tensorboard":
            folder = Path(self.place) / task.study / task.variant / f"seed{task.recipe.seed}-{task.trial}"
        return LoggedTrial(task.trial, task.name, task.study, str(folder.absolute()), parameters(task))


class Loggers:
    """All tools that a sweep logs to; one that fails is reported once and dropped, since the store has the results."""

    def __init__(self, places: Sequence[str], tasks: Mapping[str, TrialTask], on_event: OnEvent) -> None:
        """Connect to each tool; `tasks` may grow, and failures are events.

        Raises:
            RaysweepError: a tool is unknown, not installed, or unreachable.
        """
        self.tasks = tasks
        self.listener = on_event
        self.logs = [_open(*parse_place(text)) for text in places]

    def on_event(self, event: Event) -> None:
        """Log one event of the sweep."""
        if event.kind != "note" and (task := self.tasks.get(event.trial)) is not None:
            self._each(lambda log: log.take(event, task))

    def close(self) -> None:
        """Close every tool."""
        self._each(_Log.close)

    def _each(self, act: Callable[[_Log], None]) -> None:
        for log in list(self.logs):
            try:
                act(log)
            except Exception as error:  # an unreachable server must not end the sweep
                self.logs.remove(log)
                what = headline(f"{type(error).__name__}: {error}")
                self.listener(Event("note", text=f"stopped logging to {log.name} at {log.place}: {what}"))


def _open(name: str, place: str) -> _Log:
    try:
        callback = KINDS[name].make(place)
        callback.setup()
    except Exception as error:  # each tool has its own types
        raise RaysweepError(f"cannot log to {name} at {place}: {headline(str(error))}") from error
    return _Log(name, place, callback)
