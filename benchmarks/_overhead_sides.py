"""The sides of `trial_overhead`: the same trials one after another, started in five ways; each records the times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from raysweep.orchestrate.ray_private import HEAD
from raysweep.train.task import Placement, TrialTask

NOTES = "notes"
"""Folder next to the store: for each trial the times of its first update and of its last batch."""


def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Train a trial as raysweep does, and record the times."""
    from raysweep.train.run_trial import run_trial

    with noted(Path(task.store).parent / NOTES / task.trial):
        yield from run_trial(task, place, attempt)


@contextmanager
def noted(path: Path) -> Iterator[None]:
    """Record when the first update starts and when the last test ends."""
    from raysweep.train import loop

    times: list[float] = []

    def at_begin(function: Callable[..., Any], *what: Any) -> Any:
        times.append(time.time())
        return function(*what)

    def at_end(function: Callable[..., Any], *what: Any) -> Any:
        found = function(*what)
        times.append(time.time())
        return found

    update = patch.object(loop, "fitted_update", partial(at_begin, vars(loop)["fitted_update"]))
    test = patch.object(loop, "test", partial(at_end, loop.test))
    with update, test:
        yield
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([times[0], times[-1]]))


def train_here(task: TrialTask) -> None:
    """Train to the end in this process."""
    for _ in train(task, Placement(), 1):
        pass


def one_process(tasks: Sequence[TrialTask]) -> None:
    """Train one trial after another in this process: the limit."""
    for task in tasks:
        train_here(task)


def process_each(tasks: Sequence[TrialTask]) -> None:
    """Train each trial in a new process."""
    for task in tasks:
        process = get_context("spawn").Process(target=train_here, args=(task,))
        process.start()
        process.join()
        assert process.exitcode == 0


def raysweep_on_ray(tasks: Sequence[TrialTask]) -> None:
    """Train one trial at a time, as `raysweep run --workers 1` does."""
    from raysweep.orchestrate.ray_sweep import run_on_ray

    outcome = run_on_ray(tasks, lambda event: None, train=train, workers=1, address="local", dashboard=False)
    assert len(outcome.finished) == len(tasks)


def tune_functions(tasks: Sequence[TrialTask]) -> None:
    """Use Ray Tune only: one function per trial, one at a time."""
    _tune(tasks, lambda config: train_here(config["task"]), {"cpu": 1})


def tune_and_train(tasks: Sequence[TrialTask]) -> None:
    """Combine Ray Tune and Ray Train as Ray's documentation does: a TorchTrainer in each Tune function."""
    _tune(tasks, partial(_nested, folder=str(Path(tasks[0].store).parent / "train")), HEAD)


def _nested(config: dict[str, Any], folder: str) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    TorchTrainer(
        lambda inner: train_here(inner["task"]),
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name=config["task"].trial, storage_path=folder),
    ).fit()


def _tune(tasks: Sequence[TrialTask], function: Callable[[dict[str, Any]], None], resources: dict[str, float]) -> None:
    import ray
    from ray import tune

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        results = tune.Tuner(
            tune.with_resources(function, resources),
            param_space={"task": tune.grid_search(list(tasks))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(storage_path=str(Path(tasks[0].store).parent / "tune"), verbose=0),
        ).fit()
        assert not results.errors
    finally:
        ray.shutdown()
