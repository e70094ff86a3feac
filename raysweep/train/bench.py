"""Speed and memory of one network on one device: `python -m raysweep.train.bench` in a process of its own.

Reads a `Question` as JSON on standard input and writes the row on standard output. The images are random uint8 pixels
in memory, so that the network alone is measured; training is the update of a trial.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from raysweep.identity import recipe_from_json
from raysweep.networks import build_network
from raysweep.nn.inits import INITS
from raysweep.optim.solvers import make_solver
from raysweep.recipe import Recipe
from raysweep.train import memory, probe
from raysweep.train.loop import check_trial, normalise
from raysweep.train.seeding import generator, seed_torch
from raysweep.train.task import Placement
from raysweep.train.update import Training, update

LEAST_S = 0.2
"""A repeat is as many batches as take this long, and at least one."""
MOST_BATCHES = 100


@dataclasses.dataclass(frozen=True)
class Question(probe.Question):
    """What to measure, and how often."""

    repeats: int


def measure(question: Question) -> dict[str, Any]:
    """Images per second of training and of testing (median, least and most of the repeats) and peak memory, GiB.

    Raises:
        RaysweepError: a recipe that cannot be trained.
        torch.OutOfMemoryError: a device that is too small.
    """
    torch.set_num_threads(question.threads)
    work = Work.begin(recipe_from_json(question.recipe), Placement(device=question.device, threads=question.threads))
    memory.reset_peak(work.device)
    work.network.train()
    trained = images_per_s(work.train, work.images, question.repeats, work.device)
    peak = memory.peak_gib(work.device)
    work.network.eval()
    tested = images_per_s(work.test, work.images, question.repeats, work.device)
    return {**_named("train", trained), **_named("test", tested), "peak_memory_gib": peak}


@dataclasses.dataclass
class Work(Training):
    """A network and a batch of random images for it."""

    pixels: np.ndarray[Any, Any]
    labels: torch.Tensor

    @classmethod
    def begin(cls, recipe: Recipe, place: Placement) -> Work:
        """The network with its weights, ready to be trained."""
        training = begin(recipe, place)
        pixels = np.random.default_rng(0).integers(0, 256, _batch_shape(recipe), dtype=np.uint8)
        labels = torch.arange(recipe.training.batch_size, device=training.device) % recipe.network.outputs
        return cls(**vars(training), pixels=pixels, labels=labels)

    @property
    def images(self) -> int:
        """Images in the batch."""
        return len(self.pixels)

    def train(self) -> None:
        """One update."""
        update(self, self._inputs(), self.labels)

    def test(self) -> None:
        """One batch forward."""
        with torch.no_grad(), self.autocast():
            self.network(self._inputs())

    def _inputs(self) -> torch.Tensor:
        return normalise(self.pixels, self.recipe, self.device)


def begin(recipe: Recipe, place: Placement) -> Training:
    """The network with its weights, ready to be trained."""
    check_trial(recipe, place)
    device = torch.device(place.device)
    seed_torch(recipe.seed)
    network = build_network(recipe.network, recipe.data.shape).to(device)
    if recipe.training.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    INITS["he"](network, torch.empty(0), generator(recipe.seed, "weights"))  # speed does not depend on the weights
    solver = make_solver(network, recipe.solver)
    return Training(recipe, place, device, network, network, solver, recipe.training.accumulate)


def _batch_shape(recipe: Recipe) -> tuple[int, ...]:
    channels, *sides = recipe.data.shape
    return (recipe.training.batch_size, *sides, channels)


def images_per_s(run: Callable[[], None], images: int, repeats: int, device: torch.device) -> list[float]:
    """Images per second of each repeat, after a warm-up."""
    run()
    batches = min(MOST_BATCHES, max(1, round(LEAST_S / max(seconds(run, 1, device), 1e-6))))
    return [images * batches / seconds(run, batches, device) for _ in range(repeats)]


def seconds(run: Callable[[], None], batches: int, device: torch.device) -> float:
    """Wall time of so many batches, until the device has done them."""
    start = time.perf_counter()
    for _ in range(batches):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _named(what: str, found: list[float]) -> dict[str, float]:
    return {
        f"{what}_images_per_s": statistics.median(found),
        f"{what}_images_per_s_least": min(found),
        f"{what}_images_per_s_most": max(found),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Question(**json.load(sys.stdin)))))
