"""Seconds from one trial's last batch to the next one's first update, with trials started in five ways.

All sides train the same trials: CaffeNet at an eighth of its width on generated images of 144 px stored as JPEG, one
epoch each, one trial at a time on one thread, with rows and checkpoints written to a store. The gap holds all that is
not training: the last rows of the one, whatever starts the next, its images, network and initial weights (LSUV), and
its first batch. The sides: raysweep on Ray; Ray Tune with a TorchTrainer in each trial, as Ray's documentation has it;
Ray Tune functions; a process per trial; and, as the limit, one process that trains one after another.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks import _overhead_sides as sides
from benchmarks._harness import Row, generated_images, ratios, report
from raysweep.identity import trial_id
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.store.store import Store
from raysweep.train.task import TrialTask

TRAIN, TEST = 512, 128
SETTINGS = {
    "network.width": 0.125,
    "training.batch_size": 64,
    "training.epochs": 1.0,
    "data.train_images": TRAIN,
    "data.test_images": TEST,
}
Start = Callable[[Sequence[TrialTask]], None]
LIMIT, OURS = "limit: one process", "raysweep on Ray"
STARTS: dict[str, tuple[Start, int]] = {
    LIMIT: (sides.one_process, 9),
    OURS: (sides.raysweep_on_ray, 9),
    "Tune functions": (sides.tune_functions, 6),
    "a process per trial": (sides.process_each, 6),
    "Tune and Train as documented": (sides.tune_and_train, 6),
}
"""Side -> the function that starts its trials, and the number of trials: one more than gaps."""


def tasks(folder: Path, images: Path, count: int) -> list[TrialTask]:
    """Make trials that differ in their seed."""
    store = Store.open(str(folder / "results"), create=True)
    recipe = patch(find_protocol("imagenette128"), SETTINGS)
    recipes = [patch(recipe, {"seed": seed}) for seed in range(count)]
    return [TrialTask(trial_id(recipe), recipe, str(images), store.uri) for recipe in recipes]


def gaps(images: Path, start: Start, count: int) -> list[float]:
    """Measure the seconds between the trials of one side."""
    with tempfile.TemporaryDirectory() as name:
        trials = tasks(Path(name), images, count)
        start(trials)
        notes = [json.loads((Path(name) / sides.NOTES / task.trial).read_text()) for task in trials]
    return [first - last for (_, last), (first, _) in pairwise(sorted(notes))]


def main() -> None:
    """Measure one side after the other."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with generated_images(TRAIN, TEST) as folder:
        rows = [Row.of(side, gaps(folder / "jpg", start, count)) for side, (start, count) in STARTS.items()]
    over_ours = ratios(rows, *((side, OURS) for side in STARTS if side != OURS))
    limit, ours, *_ = (row.median for row in rows)
    report("trial_overhead", "s", rows, over_ours | {f"{OURS} less {LIMIT}, s": ours - limit})


if __name__ == "__main__":
    main()
