"""Searches in a process of its own, to be killed: `python -m tests.orchestrate.nas_driver FOLDER WORKERS BUDGET SEEDS`.

On a Ray of its own; every trial takes a fifth of a second. With one worker none runs out of memory: such a trial waits
for the whole machine, so that the search goes on without its result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.orchestrate.events import Event
from raysweep.orchestrate.nas_searcher import NasSearch
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.train.task import Placement, TrialTask
from tests.nas_trials.trained import METHODS, ask_for, open_all, train, write_end


def train_slowly(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    time.sleep(0.2)
    yield from train(task, place, attempt)


def _print(event: Event) -> None:
    print(event.kind, event.trial, flush=True)


if __name__ == "__main__":
    folder, workers, budget, seeds = sys.argv[1:]
    searches = open_all(ask_for(Path(folder), *METHODS, budget=budget, seeds=int(seeds), roomy=workers == "1"))
    run_on_ray(
        (),
        _print,
        train=train_slowly,
        record_end=write_end,
        max_attempts=1,
        workers=int(workers),
        address="local",
        dashboard=False,
        search=NasSearch(searches),
    )
    searches.close()
