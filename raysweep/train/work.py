"""The work whose speed and memory are measured: a network that is trained on random uint8 pixels in memory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from raysweep.identity import recipe_from_json, recipe_json
from raysweep.networks import build_network
from raysweep.optim.solvers import make_solver
from raysweep.own_code import Text, carried, unpack
from raysweep.recipe import Recipe
from raysweep.train.loop import check_trial, normalise, with_weights
from raysweep.train.task import Placement
from raysweep.train.update import Training, update

LEAST_S = 0.2
"""A repeat has as many batches as take this long, and at least one."""
MOST_BATCHES = 100


@dataclasses.dataclass(frozen=True)
class Question:
    """The recipe to train, and the device to train it on."""

    recipe: str
    """Canonical JSON."""
    device: str
    threads: int
    code: tuple[Text, ...] = ()
    """The user's files that the recipe needs."""

    @classmethod
    def about(cls, recipe: Recipe, device: str, threads: int) -> Question:
        """The question about a recipe, with the code that it needs."""
        return cls(recipe_json(recipe), device, threads, carried(recipe))

    def asked(self) -> Recipe:
        """The recipe, once the code that it needs is there."""
        recipe = recipe_from_json(self.recipe)
        unpack(((name, text) for name, text in self.code), recipe)
        return recipe


@dataclasses.dataclass
class Work(Training):
    """A network and a batch of random images for it."""

    pixels: np.ndarray[Any, Any]
    labels: torch.Tensor

    @classmethod
    def begin(cls, question: Question) -> Work:
        """Build the network with initial weights, ready to be trained.

        Raises:
            RaysweepError: a recipe that cannot be trained.
        """
        torch.set_num_threads(question.threads)
        recipe = question.asked()
        place = Placement(device=question.device, threads=question.threads)
        check_trial(recipe, place)
        device = torch.device(place.device)
        # Speed does not depend on the weights: a method that needs no images.
        he = dataclasses.replace(recipe, init=dataclasses.replace(recipe.init, method="he"))
        network = with_weights(
            lambda: build_network(recipe.network, recipe.data.shape), he, torch.empty(0, device=device)
        )
        channels, *sides = recipe.data.shape
        batch = recipe.training.batch_size
        pixels = np.random.default_rng(0).integers(0, 256, (batch, *sides, channels), dtype=np.uint8)
        labels = torch.arange(batch, device=device) % recipe.network.outputs
        solver, parts = make_solver(network, recipe.solver), recipe.training.accumulate
        return cls(recipe, place, device, network, network, solver, parts, pixels, labels)

    @property
    def images(self) -> int:
        """Number of images in the batch."""
        return len(self.pixels)

    def train(self) -> None:
        """Make one update."""
        update(self, self._inputs(), self.labels)

    def test(self) -> None:
        """Run the batch forward."""
        with torch.no_grad(), self.autocast():
            self.network(self._inputs())

    def _inputs(self) -> torch.Tensor:
        return normalise(self.pixels, self.recipe, self.device)


def images_per_s(run: Callable[[], None], work: Work, repeats: int) -> list[float]:
    """Measure images per second in each repeat, after a warm-up."""
    run()
    batches = batches_in(LEAST_S, run, work.device, MOST_BATCHES)
    return [work.images * batches / seconds(run, batches, work.device) for _ in range(repeats)]


def batches_in(wanted_s: float, run: Callable[[], None], device: torch.device, most: int) -> int:
    """Return the number of batches that take about this long, between 1 and `most`."""
    return min(most, max(1, round(wanted_s / max(seconds(run, 1, device), 1e-6))))


def seconds(run: Callable[[], None], batches: int, device: torch.device) -> float:
    """Measure the wall time of N batches, until the device has finished them."""
    start = time.perf_counter()
    for _ in range(batches):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
