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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.data.fit import check_data
from raysweep.data.randomness import epoch_order, key
from raysweep.data.stream import TestStream
from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import Genotype
from raysweep.nas.cells_space import CellSpace
from raysweep.nas.evaluation import FAILED, Evaluation
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.nn.supernet import SharedCells
from raysweep.optim.solvers import make_solver
from raysweep.recipe import Length, Recipe
from raysweep.store.files import Files
from raysweep.train import checkpoint
from raysweep.train.feed import Feed
from raysweep.train.loop import Trial, check_trial, normalise, train_updates, with_weights
from raysweep.train.seeding import derive, seed_torch
from raysweep.train.streams import open_streams
from raysweep.train.supernet_recipe import SharedRecipe
from raysweep.train.task import Placement

FILE = "shared.pt"
"""Checkpoint in the store."""


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
    """Shared weights, as `raysweep.nas.supernet_methods` asks for them, with what they are trained and scored on."""

    def __init__(
        self,
        space: CellSpace,
        shared: SharedRecipe,
        data: str | Path,
        store: str | Path | Files,
        place: Placement = Placement(),  # noqa: B008 (frozen)
        file: str = FILE,
    ) -> None:
        """Begin, or go on from `file` of `store`, a folder or URI. `data` is a folder of images.

        Raises:
            RaysweepError: a recipe, images or a store that do not serve, or a store of other weights.
        """
        self.space, self.shared = space, shared
        self.trial = _prepare(space, shared, Path(data), place)
        self.network: Any = self.trial.network
        self.num_epochs = self.trial.length.num_epochs
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.wait_s = 0.0
        """That the last epoch waited for images."""
        self._files, self._file = store if isinstance(store, Files) else Files.at(str(store)), file
        self._of = f"{space.nodes} nodes of {', '.join(space.operations)}; {shared.weights}"
        if (saved := self._files.find(file)) is not None:
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
        loss, self.wait_s = train_updates(trial, first, last)
        self.losses.append(loss)
        self.seconds.append(time.perf_counter() - start)
        self._files.write(self._file, self._state())

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
                f"{self._files.uri}/{self._file} holds shared weights of another recipe or space: name another store."
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
