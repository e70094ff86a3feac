"""Predicted over actual seconds of whole trials: the pace of the baseline, scaled to variants.

CPU seconds of this process in one thread, so that other work on the machine does not count. The pace is measured again
before each trial, on a few hundred batches of the baseline. Caffe's network at a quarter of its width, on generated
images of 144 px stored as JPEG.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks._harness import generated_images, measure, report
from raysweep.cost import find_cost
from raysweep.data.fit import bind_data, check_data
from raysweep.identity import recipe_json
from raysweep.pace import Pace
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study
from raysweep.train.loop import epochs, prepare
from raysweep.train.pace import prepared, tested, trained
from raysweep.train.task import Placement
from raysweep.train.work import Question

REPEATS, BATCHES = 3, 40
TRAIN, TEST = 1_500, 500
SETTINGS = {"network.width": 0.25, "training.batch_size": 32, "training.epochs": 1.0}
VARIANTS = {
    "activation": ("relu", "elu", "tanh", "maxout_same_width"),
    "pooling": ("average", "stochastic"),
    "batchnorm": ("before",),
    "width": ("x0_5", "x2"),
}


def images_per_s(run: Callable[[int], int]) -> float:
    """Images per CPU second of some batches."""
    start = time.process_time()
    return run(BATCHES) / (time.process_time() - start)


def pace_of(baseline: Recipe, folder: Path) -> Pace:
    """The pace of the baseline, without the start of a trial."""
    with closing(prepared(Question(recipe_json(baseline), "cpu", 1), folder)) as trial:
        trained(trial, 3)
        train, test = (images_per_s(partial(run, trial)) for run in (trained, tested))
    cost = find_cost(baseline)
    return Pace(train, test, 0.0, cost.macs, 1, "", cost.activations)


def ratio(baseline: Recipe, recipe: Recipe, folder: Path) -> float:
    """Predicted over actual seconds of the epochs of one trial."""
    predicted = pace_of(baseline, folder).trial_s(recipe)
    with closing(prepare(recipe, folder, check_data(recipe, folder), Placement())) as trial:
        start = time.process_time()
        for _ in epochs(trial):
            pass
        return predicted / (time.process_time() - start)


def main() -> None:
    """Measure the variants in turn."""
    with generated_images(TRAIN, TEST) as images:
        folder = images / "jpg"
        protocol = patch(find_protocol("imagenette128"), SETTINGS)
        baseline = bind_data(protocol, check_data(protocol, folder))
        recipes = {
            f"{study}/{name}": find_study(study).variant(name).apply(baseline)
            for study, names in VARIANTS.items()
            for name in names
        }
        rows = measure({name: partial(ratio, baseline, recipe, folder) for name, recipe in recipes.items()}, REPEATS)
    report("trial_seconds", "predicted / actual", rows, {})


if __name__ == "__main__":
    main()
