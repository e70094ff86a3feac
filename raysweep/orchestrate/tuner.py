"""Tune's part of a sweep: which trial comes next and who is stopped early. Training happens in the gangs.

A Tune trial holds no CPU and no GPU: it submits its trial to the pool and hands the rows on to Tune, whose searcher and
scheduler see an ordinary trial.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raysweep.orchestrate.space_searcher import judged

HEAD = {"node:__internal_head__": 0.001}
"""Resources of whatever only talks: on the head node, where it is safe, and next to nothing of it."""
MAX_TUNE_FAILURES = 5


def follow_trial(config: dict[str, Any], pool: Any) -> None:
    """The Tune trainable: follow one trial of the pool to its end."""
    # How long Tune waits for this function when it stops the trial; after its default of 2 s it would hang for ever.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "60"
    trial = config["trial"]
    seen, over = ray.get(pool.submit.remote(trial)), False
    try:
        while not over:
            rows, over = ray.get(pool.fetch.remote(trial, seen))
            for row in rows:
                tune.report(judged(row))
            seen += len(rows)
    except SystemExit:  # how a scheduler's stop arrives inside `report`
        ray.get(pool.stop.remote(trial))
        raise


class _Silence(TrialProgressCallback):  # type: ignore[misc]
    """Takes the place of the callback by which Tune prints results even when told not to."""

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Say nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say nothing."""


def run_tuner(pool: Any, searcher: Searcher, most: int, scheduler: TrialScheduler | None, storage: Path) -> None:
    """Let Tune drive the searcher's trials, `most` of them, to their ends; returns soon after the pool is closed.

    How many are under way at once is up to the searcher.
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
            callbacks=[_Silence()],
            failure_config=tune.FailureConfig(max_failures=MAX_TUNE_FAILURES),
        ),
    ).fit()


def _trial_name(trial: Any) -> str:
    return str(trial.config["trial"])
