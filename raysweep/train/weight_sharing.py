"""Weights that all cells of a space share: trained an epoch at a time for a search, and scored on held-out images.

    space, recipe = cell_space("enas"), small(bind_data(find_protocol("cifar10"), read_manifest(images)))
    shared = SharedTraining(space, recipe, images, store="runs/enas")
    method = Enas(epochs=7, rewards=60)
    history = search(space, shared, method=method, budget=method.evaluations, seed=0, log="runs/enas/search.log")

The training is that of any trial: the same images, updates and checkpoints. Architectures are scored on images held out
of the training split (`data.holdout`), never on the test split.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.data.check import check_data
from raysweep.data.randomness import epoch_order, key
from raysweep.data.stream import TestStream
from raysweep.errors import RaysweepError, unknown
from raysweep.identity import recipe_json
from raysweep.nas.cells import CellSpace
from raysweep.nas.evaluation import FAILED, Evaluation
from raysweep.nas.genotypes import Genotype
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.nn.shared_cells import SharedCells
from raysweep.optim.solvers import make_solver
from raysweep.patch import patch
from raysweep.recipe import Length, Recipe
from raysweep.results.files import Files
from raysweep.train import checkpoint
from raysweep.train.feed import Feed
from raysweep.train.loop import Trial, check_trial, normalise, train_updates, with_weights
from raysweep.train.seeding import derive, seed_torch
from raysweep.train.streams import open_streams
from raysweep.train.task import Placement

BN = {"batch": "batch_affine_current", "running": "batch_affine", "recalibrated": "batch_affine"}
"""Statistics that batch normalisation scores an architecture with, and the normalisation of `network.norm` that has it.

Those of the scored batch itself, as in the released code; running averages over the training, in which every update was
of another architecture; or averages over some training batches of this architecture, taken before it is scored.
"""
FILE = "shared.pt"
"""Checkpoint in the store."""

ENAS_CODE: dict[str, Any] = {
    "data.holdout": 0.1,
    "network.activation": "relu",
    "network.norm_position": "before",
    "network.bias": False,
    "network.conv_bias": False,
    "network.head": "avepool_clf",
    "network.dropout": 0.1,
    "network.aux_weight": 0.4,
    "init.method": "he",
    "solver.name": "nesterov",
    "solver.lr": 0.05,
    "solver.momentum": 0.9,
    "solver.weight_decay": 2e-4,
    "solver.bias_lr_mult": 1.0,
    "solver.bias_decay_mult": 1.0,
    "solver.lr_in_velocity": False,
    "solver.clip_norm": 0.0,
    "schedule.name": "warm_restarts",
    "schedule.cycles": 4,
    "schedule.floor": 0.01,
    "training.epochs": 150.0,
    "training.batch_size": 160,
}
"""Values of the released script (melodyguan/enas, `cifar10_micro_search.sh`), as its code acts on them.

Its l2 of 1e-4 is a factor on the sum of squares, so a decay of 2e-4. It computes clipped gradients and applies those
that are not clipped. Drop-path of 0.6 is passed, and used in the final network alone. The rate changes with each epoch
there, with each update here. Weights that a batch does not use stay as they are here; there they decay.
"""
SMALL: dict[str, Any] = {
    "network.dropout": 0.0,
    "network.aux_weight": 0.0,
    "solver.clip_norm": 5.0,
    "schedule.cycles": 3,
    "training.epochs": 7.0,
    "training.batch_size": 64,
}
"""What differs in a run for a CPU, besides 5 cells of width 8 for 8 of width 20."""


@dataclass(frozen=True)
class SharedRecipe:
    """How shared weights are trained and scored."""

    training: Recipe
    """The recipe of a trial: images, layers, solver, schedule, length and seed. Name and cells of its network and its
    norm are not used."""
    cells: int = 8
    """With the two reductions."""
    width: int = 20
    """Of the first cells, times `network.width`."""
    bn: str = "batch"
    """One of `BN`."""
    recalibration: int = 10
    """Training batches that statistics are recalibrated on."""

    @property
    def recipe(self) -> Recipe:
        """The recipe with the norm that `bn` means.

        Raises:
            RaysweepError: no such way to normalise, or a recipe that weights cannot be shared with.
        """
        if self.bn not in BN:
            raise unknown("bn", self.bn, BN)
        made = patch(self.training, {"network.norm": BN[self.bn]})
        for path, bad, words in (
            ("data.holdout", not made.data.holdout, "architectures would be chosen by test images. Name a share, 0.1"),
            ("init.method", made.init.method.startswith("lsuv"), "one architecture would decide it. Use he"),
            ("training.accumulate", made.training.accumulate != 1, "batch normalisation needs whole batches. Use 1"),
        ):
            if bad:
                raise RaysweepError(f"{path} does not serve for shared weights: {words}.")
        return made


def enas_code(recipe: Recipe, **options: Any) -> SharedRecipe:
    """The released script on the images of a recipe; `options` are other fields of `SharedRecipe`."""
    return SharedRecipe(patch(recipe, ENAS_CODE), **options)


def small(recipe: Recipe, **options: Any) -> SharedRecipe:
    """A tenth of that and less, for a CPU."""
    return SharedRecipe(patch(recipe, ENAS_CODE | SMALL), **({"cells": 5, "width": 8} | options))


class Sampled(nn.Module):
    """The shared network as updates see it: each is of the next architecture."""

    def __init__(self, network: SharedCells, sample: Callable[[int], Genotype], update: int) -> None:
        """`update`: how many there have been."""
        super().__init__()
        self.network, self.sample, self.update = network, sample, update

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits of the architecture of this update."""
        genotype = self.sample(self.update)
        self.update += 1
        logits: Tensor = self.network(images, genotype)
        return logits


class SharedTraining:
    """Shared weights, as `raysweep.nas.weight_sharing` asks for them, with what they are trained and scored on."""

    def __init__(
        self,
        space: CellSpace,
        shared: SharedRecipe,
        data: str | Path,
        store: str | Path,
        place: Placement = Placement(),  # noqa: B008 (frozen)
    ) -> None:
        """Begin, or go on from what `store`, a folder or URI, holds. `data` is a folder of images.

        Raises:
            RaysweepError: a recipe, images or a store that do not serve, or a store of other weights.
        """
        self.space, self.shared = space, shared
        self.trial = _prepare(space, shared, Path(data), place)
        self.network: Any = self.trial.network
        self.num_epochs = self.trial.length.num_epochs
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._files = Files.at(str(store))
        cells = f"{space.nodes} nodes of {', '.join(space.operations)}; {shared.cells} cells of width {shared.width}"
        self._of = f"{recipe_json(shared.recipe)} {cells}"
        if (saved := self._files.find(FILE)) is not None:
            self._restore(saved)

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite."""
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    @property
    def columns(self) -> dict[str, Any]:
        """What a table of scores should say of the weights."""
        return {"bn": self.shared.bn, "shared_epochs": len(self.seconds), "shared_recipe": self._of}

    def train(self, sample: Callable[[int], Genotype]) -> None:
        """One more epoch, update k on architecture sample(k); then the checkpoint is written.

        Raises:
            RaysweepError: images that cannot be read, or a store that cannot be written.
        """
        start, epoch, trial = time.perf_counter(), len(self.seconds) + 1, self.trial
        first, last = trial.length.end(epoch - 1), trial.length.end(epoch)
        seed_torch(derive(trial.recipe.seed, f"epoch {epoch} of shared weights"))
        trial.model = Sampled(self.network, sample, first)
        loss, _ = train_updates(trial, first, last)
        self.losses.append(loss)
        self.seconds.append(time.perf_counter() - start)
        self._files.write(FILE, self._state())

    def __call__(self, architecture: Genotype, fidelity: float | None = None) -> Evaluation:
        """Top-1 accuracy on so many minibatches of held-out images, or on all of them.

        Which minibatches depends on the architecture and the epochs trained. Where the weights have diverged so has the
        evaluation; a single architecture whose logits are not finite is wrong.
        """
        start = time.perf_counter()
        if self.diverged:
            return Evaluation(FAILED, status="diverged", epochs=0.0)
        if self.shared.bn == "recalibrated":
            self._recalibrate(architecture)
        top1 = self._top1(architecture, self._minibatches(architecture, fidelity))
        return Evaluation(top1, time.perf_counter() - start, epochs=0.0)

    def close(self) -> None:
        """Give back what is shared with trials."""
        self.trial.close()

    def _minibatches(self, architecture: Genotype, fidelity: float | None) -> Iterable[int]:
        count = len(self.trial.test)
        if fidelity is None or fidelity >= count:
            return range(count)
        what = key("minibatches", self.trial.recipe.seed, len(self.seconds), *self.space.encode(architecture))
        order: list[int] = epoch_order(int(what), 0, count).tolist()
        return order[: int(fidelity)]

    @torch.no_grad()
    def _top1(self, architecture: Genotype, minibatches: Iterable[int]) -> float:
        self.network.eval()
        correct = images = 0
        for number in minibatches:
            batch = self.trial.feed.test_batch(number)
            with self.trial.autocast():
                logits = self.network(self.trial.inputs(batch), architecture).float()
            right = (logits.argmax(1) == self.trial.labels(batch)) & logits.isfinite().all(1)
            correct += int(right.sum())
            images += len(right)
        return correct / images

    @torch.no_grad()
    def _recalibrate(self, architecture: Genotype) -> None:
        """Running statistics of this architecture alone, over the first training batches."""
        for layer in self.network.modules():
            if isinstance(layer, CaffeBatchNorm):
                layer.batches = 0
        self.network.train()
        for number in range(self.shared.recalibration):
            with self.trial.autocast():
                self.network(self.trial.inputs(self.trial.feed.train_batch(number)), architecture)

    def _state(self) -> bytes:
        position = {"of": self._of, "seconds": self.seconds, "losses": self.losses}
        return checkpoint.save(self.network, self.trial.solver, position, self.trial.device)

    def _restore(self, saved: bytes) -> None:
        position = checkpoint.load(saved, self.network, self.trial.solver, self.trial.device)
        if position.get("of") != self._of:
            raise RaysweepError(
                f"{self._files.uri} holds shared weights of another recipe or space: name another store."
            )
        self.seconds, self.losses = position["seconds"], position["losses"]


def _prepare(space: CellSpace, shared: SharedRecipe, data: Path, place: Placement) -> Trial:
    recipe = shared.recipe
    check_trial(recipe, place)
    device = torch.device(place.device)
    train, test = open_streams(recipe, data, check_data(recipe, data), place)
    if train.num_images < recipe.training.batch_size:
        raise RaysweepError(
            f"training.batch_size is {recipe.training.batch_size}, more than the {train.num_images} images of an "
            "epoch, after which shared weights are scored: use a smaller one."
        )
    test = _shuffled(test, recipe)
    images = normalise(train.batch(0).images, recipe, device)
    network = with_weights(
        lambda: SharedCells(recipe.network, recipe.data.shape, space, shared.cells, shared.width), recipe, images
    )
    length = Length(train.num_images, recipe.training.batch_size, recipe.training.epochs)
    feed = Feed(train, test, recipe.data, device, place.threads)
    solver = make_solver(network, recipe.solver)
    return Trial(recipe, place, device, network, network, solver, 1, train, test, length, feed)


def _shuffled(test: TestStream, recipe: Recipe) -> TestStream:
    """The same images in a random order: a set may be stored class by class, and a minibatch is to have them all."""
    order = epoch_order(derive(recipe.seed, "held-out images"), 0, test.num_images)
    return TestStream(
        test.file,
        side=test.side,
        batch_size=test.batch_size,
        indices=test.indices[order],
        scale=recipe.data.test_scale,
        preprocess=test.preprocess,
        threads=test.pool.threads,
    )
