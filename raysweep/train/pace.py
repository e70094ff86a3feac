"""The speed of one trial on one worker, images and all: `python -m raysweep.train.pace` is one of several at once.

It reads a `Question` and the folder of the images as a line of JSON, prepares the trial twice, and answers with the
seconds of the second time. Then it answers `["train", seconds]` and `["test", seconds]` with the images per second of
about that time.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import torch

from raysweep.data.fit import check_data
from raysweep.patch import patch
from raysweep.train.asking import answer, process, send
from raysweep.train.loop import Trial, prepare, test, train_updates
from raysweep.train.task import Placement
from raysweep.train.work import Question

MODULE = "raysweep.train.pace"
SECONDS = {"train": 3.0, "test": 1.0}
"""Duration of each measurement."""
WARM_UP = 3
"""Updates before them: the second one holds what the first has left behind, such as momentum."""
ENDLESS = {"training.epochs": 1e6, "solver.lr": 1e-8, "init.trunk": "none", "data.train_fraction": 1.0}
"""Settings with which training neither ends nor diverges; they do not change the speed."""


@dataclass(frozen=True)
class Rates:
    """The speed of one trial among several."""

    train_images_per_s: float
    test_images_per_s: float
    start_s: float


def rates(question: Question, folder: Path, at_once: int) -> Rates:
    """Measure N trials at once; returns the mean of one.

    Raises:
        RuntimeError: the recipe cannot be trained; holds the last line of its error.
    """
    with ExitStack() as stack:
        first = [asdict(question), str(folder)]
        processes = [stack.enter_context(process(MODULE, first)) for _ in range(at_once)]
        start_s = fmean(float(answer(asked)) for asked in processes)
        trained, tested = (_together(processes, what) for what in SECONDS)
    return Rates(trained, tested, start_s)


def _together(processes: Sequence[subprocess.Popen[str]], what: str) -> float:
    for asked in processes:
        send(asked, [what, SECONDS[what]])
    return fmean(float(answer(asked)) for asked in processes)


def serve(lines: Iterator[str]) -> None:
    """Run one of the processes."""
    question, folder = json.loads(next(lines))
    with closing(prepared(Question(**question), Path(folder))) as first:
        train_updates(first, 0, 1)  # loads what later trials of the process find loaded
    start = time.perf_counter()
    with closing(prepared(Question(**question), Path(folder))) as trial:
        train_updates(trial, 0, 1)
        print(time.perf_counter() - start, flush=True)
        train_updates(trial, 1, WARM_UP)
        for line in lines:
            what, wanted_s = json.loads(line)
            print(_rate(trial, trained if what == "train" else tested, wanted_s), flush=True)


def prepared(question: Question, folder: Path) -> Trial:
    """The trial, ready for endless training at its speed."""
    torch.set_num_threads(question.threads)
    recipe = patch(question.asked(), ENDLESS)
    place = Placement(device=question.device, threads=question.threads)
    return prepare(recipe, folder, check_data(recipe, folder), place)


def trained(trial: Trial, batches: int) -> int:
    """Train on N batches; returns the number of images."""
    train_updates(trial, WARM_UP, WARM_UP + batches)
    return batches * trial.recipe.training.batch_size


def tested(trial: Trial, batches: int) -> int:
    """Test on N batches, or on all of them; returns the number of images."""
    test(trial, batches)
    return min(batches, len(trial.test)) * trial.recipe.training.batch_size


def _rate(trial: Trial, run: Callable[[Trial, int], int], wanted_s: float) -> float:
    """Images per second of as many batches as take about this long, by the time of the first ones."""
    images, start, batches = 0, time.perf_counter(), WARM_UP
    while (spent_s := time.perf_counter() - start) < wanted_s:
        if images:
            batches = max(1, math.ceil((wanted_s - spent_s) * images / spent_s / trial.recipe.training.batch_size))
        images += run(trial, batches)
    return images / spent_s


if __name__ == "__main__":
    serve(sys.stdin)
