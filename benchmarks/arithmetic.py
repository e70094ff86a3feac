"""Training images/s of the paper's network by precision and memory format, on one CPU thread.

CaffeNet at a quarter of its width and 128 px, batch size 64: whole updates (forward, backward, solver).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from benchmarks._harness import measure, ratios, report
from raysweep.identity import recipe_json
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.work import Question, Work, seconds

BATCH, UPDATES, REPEATS = 64, 4, 7
CAFFENET = {"network.width": 0.25, "network.outputs": 10, "training.batch_size": BATCH}


def side(precision: str, channels_last: bool) -> Callable[[], float]:
    """Return a function that measures images per second of a few updates."""
    how = {"training.precision": precision, "training.channels_last": channels_last}
    work = Work.begin(Question(recipe_json(patch(Recipe(), CAFFENET | how)), "cpu", 1))
    work.network.train()
    work.train()  # the first update allocates
    return lambda: BATCH * UPDATES / seconds(work.train, UPDATES, work.device)


def main() -> None:
    """Measure all four sides."""
    layouts = {"nchw": False, "channels-last": True}
    sides = {f"{p} {name}": side(p, layouts[name]) for p, name in itertools.product(("float32", "bfloat16"), layouts)}
    rows = measure(sides, REPEATS)
    pairs = ("float32 channels-last", "float32 nchw"), ("bfloat16 channels-last", "float32 channels-last")
    report("arithmetic", "images/s", rows, ratios(rows, *pairs))


if __name__ == "__main__":
    main()
