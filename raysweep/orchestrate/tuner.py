"""Tune's part of a sweep: which trial comes next and which one is stopped early. Training happens in the gangs.

A Tune trial holds no CPU and no GPU: it submits its trial to the pool and passes the rows to Tune, whose searcher and
scheduler see an ordinary trial.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raysweep.orchestrate.ray_private import HEAD, THREAD_TIMEOUT, TrialProgressCallback
from raysweep.orchestrate.space_searcher import judged

MAX_TUNE_FAILURES = 1000
"""How often Tune replaces the process that follows a trial. Only a shortage of memory kills more than a few."""


def follow_trial(config: dict[str, Any], pool: Any) -> None:
    """Follow one trial of the pool to its end; this is the Tune trainable."""
    os.environ[THREAD_TIMEOUT] = "60"
    # Without a pool another attempt would find nothing to follow either; the driver notices by itself.
    with suppress(RayActorError, OutOfMemoryError):
        _follow(config["trial"], pool)


def _follow(trial: str, pool: Any) -> None:
    seen, over = ray.get(pool.submit.remote(trial)), False
    try:
        while not over:
            rows, over = ray.get(pool.fetch.remote(trial, seen))
            for row in rows:
                tune.report(judged(row))
            seen += len(rows)
    except SystemExit:  # a scheduler's stop arrives inside `report` as this
        ray.get(pool.stop.remote(trial))
        raise


class Silence(TrialProgressCallback):  # type: ignore[misc]
    """Replaces the callback with which Tune prints results even at verbose=0."""

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Print nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print nothing."""


def run_tuner(pool: Any, searcher: Searcher, most: int, scheduler: TrialScheduler | None, storage: Path) -> None:
    """Let Tune run up to `most` trials of the searcher to their ends; returns soon after the pool is closed.

    The searcher limits how many run at once.
    """
    trainable = tune.with_resources(tune.with_parameters(follow_trial, pool=pool), HEAD)
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=most,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage),
            verbose=0,
            callbacks=[Silence()],
            failure_config=tune.FailureConfig(max_failures=MAX_TUNE_FAILURES),
        ),
    ).fit()


def _trial_name(trial: Any) -> str:
    return str(trial.config["trial"])
