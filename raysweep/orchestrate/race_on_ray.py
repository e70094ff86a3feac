"""A race on Ray: Tune asks the race for the next run, and as many run at once as there are workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from raysweep.deciding.racing import Measure, Session
from raysweep.errors import RaysweepError
from raysweep.orchestrate.cluster import connect
from raysweep.orchestrate.space_searcher import StatelessSearcher
from raysweep.orchestrate.tuner import Silence

VALUE = "value"


@dataclass(frozen=True)
class OnRay:
    """Carries out a session as trials of Tune, `workers` at a time, each on `cpus` cores and `gpus` GPUs."""

    workers: int
    cpus: float = 1.0
    gpus: float = 0.0
    address: str | None = None

    def __call__(self, session: Session, measure: Measure) -> None:
        """Runs the session to its end.

        Raises:
            RaysweepError: a measurement has raised; results before it are in the log.
        """
        searcher = RaceSearcher(session)
        with connect(self.address, {}, dashboard=False), tempfile.TemporaryDirectory(prefix="raysweep-") as storage:
            trainable = tune.with_resources(_trainable(measure), {"cpu": self.cpus, "gpu": self.gpus})
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, max_concurrent_trials=self.workers),
                run_config=tune.RunConfig(name="race", storage_path=storage, verbose=0, callbacks=[Silence()]),
            ).fit()
        if searcher.errors:
            raise RaysweepError(
                f"measure raised for {', '.join(searcher.errors)}: see Ray's output above. "
                "Return None for a run that did not train. Results before it are in the log, if there is one."
            )


def _trainable(measure: Measure) -> Callable[[dict[str, Any]], None]:
    def run(config: dict[str, Any]) -> None:
        value = measure(config["variant"], config["seed"])
        tune.report({VALUE: value})

    return run


class RaceSearcher(StatelessSearcher):
    """Proposes the runs of a session and reports their values to it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.jobs: dict[str, tuple[str, int]] = {}
        self.errors: list[str] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next run; None while none can be chosen before another has ended."""
        job = None if self.errors else self.session.next_job()
        if job is None:
            return None if self.session.running and not self.errors else str(Searcher.FINISHED)
        self.jobs[trial_id] = job
        return {"variant": job[0], "seed": job[1]}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the value of a run."""
        variant, seed = self.jobs.pop(trial_id)
        if error or result is None or VALUE not in result:
            self.errors.append(f"{variant!r}, seed {seed}")
        else:
            self.session.report(variant, seed, result[VALUE])
