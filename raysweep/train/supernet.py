"""Trains a supernet, one epoch at a time, and scores its architectures on held-out images.

    space, recipe = cell_space("enas"), small(bind_data(find_protocol("cifar10"), read_manifest(images)))
    supernet = SupernetTraining(space, recipe, images, store="runs/enas")
    method = Enas(epochs=7, rewards=60)
    history = search(space, supernet, method=method, budget=method.evaluations, seed=0, log="runs/enas/search.log")

Training works as for any trial, with the same images, updates and checkpoints. Architectures are scored on images held
out of the training split (`data.holdout`), never on the test split.
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
from raysweep.nn.supernet import Supernet
from raysweep.optim.solvers import make_solver
from raysweep.recipe import Length, Recipe
from raysweep.store.files import Files
from raysweep.train import checkpoint
from raysweep.train.feed import Feed
from raysweep.train.loop import Trial, check_trial, normalise, train_updates, with_weights
from raysweep.train.seeding import derive, seed_torch
from raysweep.train.streams import open_streams
from raysweep.train.supernet_recipe import SupernetRecipe
from raysweep.train.task import Placement

FILE = "shared.pt"
"""Default name of the checkpoint in the store."""


class Sampled(nn.Module):
    """The network for updates: each forward pass uses the next sampled architecture."""

    def __init__(self, network: Supernet, sample: Callable[[int], Genotype], update: int) -> None:
        """`update`: number of updates done."""
        super().__init__()
        self.network, self.sample, self.update = network, sample, update

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits of the architecture for this update."""
        genotype = self.sample(self.update)
        self.update += 1
        logits: Tensor = self.network(images, genotype)
        return logits


class SupernetTraining:
    """A supernet for `raysweep.nas.methods.supernet_methods`, with the images it is trained and scored on."""

    def __init__(
        self,
        space: CellSpace,
        recipe: SupernetRecipe,
        data: str | Path,
        store: str | Path | Files,
        place: Placement = Placement(),  # noqa: B008 (frozen)
        file: str = FILE,
    ) -> None:
        """Begin, or resume from `file` in `store`, a folder or URI. `data` is a folder of images.

        Raises:
            RaysweepError: an unusable recipe, images or store, or weights of another supernet in the store.
        """
        self.space, self.recipe = space, recipe
        self.trial = _prepare(space, recipe, Path(data), place)
        self.network: Any = self.trial.network
        self.num_epochs = self.trial.length.num_epochs
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.wait_s = 0.0
        """Seconds that the last epoch waited for images."""
        self._files, self._file = store if isinstance(store, Files) else Files.at(str(store)), file
        self._of = f"{space.nodes} nodes of {', '.join(space.operations)}; {recipe.weights}"
        if (saved := self._files.find(file)) is not None:
            self._restore(saved)

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite."""
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    @property
    def columns(self) -> dict[str, Any]:
        """Columns that describe the supernet in a table of scores."""
        return {"bn": self.recipe.bn, "shared_epochs": len(self.seconds), "shared_recipe": self._of}

    def train(self, sample: Callable[[int], Genotype]) -> None:
        """Train one more epoch, with update k on architecture sample(k), and write the checkpoint.

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
        """Top-1 accuracy on `fidelity` minibatches of held-out images. None: on all of them.

        The choice of minibatches depends on the architecture and the number of epochs so far. If the weights have
        diverged, so has the evaluation. Logits that are not finite count as wrong predictions.
        """
        start = time.perf_counter()
        if self.diverged:
            return Evaluation(FAILED, status="diverged", epochs=0.0)
        if self.recipe.bn == "recalibrated":
            self._recalibrate(architecture)
        top1 = self._top1(architecture, self._minibatches(architecture, fidelity))
        return Evaluation(top1, time.perf_counter() - start, epochs=0.0)

    def close(self) -> None:
        """Release what trials share, such as data streams."""
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
        """Recompute the running statistics for this architecture on the first training batches."""
        for layer in self.network.modules():
            if isinstance(layer, CaffeBatchNorm):
                layer.batches = 0
        self.network.train()
        for number in range(self.recipe.recalibration):
            with self.trial.autocast():
                self.network(self.trial.inputs(self.trial.feed.train_batch(number)), architecture)

    def _state(self) -> bytes:
        position = {"of": self._of, "seconds": self.seconds, "losses": self.losses}
        return checkpoint.save(self.network, self.trial.solver, position, self.trial.device)

    def _restore(self, saved: bytes) -> None:
        position = checkpoint.load(saved, self.network, self.trial.solver, self.trial.device)
        if position.get("of") != self._of:
            raise RaysweepError(
                f"{self._files.uri}/{self._file} holds a supernet of another recipe or space: use another store."
            )
        self.seconds, self.losses = position["seconds"], position["losses"]


def _prepare(space: CellSpace, supernet: SupernetRecipe, data: Path, place: Placement) -> Trial:
    recipe = supernet.recipe
    check_trial(recipe, place)
    device = torch.device(place.device)
    train, test = open_streams(recipe, data, check_data(recipe, data), place)
    if train.num_images < recipe.training.batch_size:
        raise RaysweepError(
            f"training.batch_size is {recipe.training.batch_size}, but an epoch of the supernet has only "
            f"{train.num_images} images: use a smaller batch."
        )
    test = _shuffled(test, recipe)
    images = normalise(train.batch(0).images, recipe, device)
    network = with_weights(
        lambda: Supernet(recipe.network, recipe.data.shape, space, supernet.cells, supernet.width), recipe, images
    )
    length = Length(train.num_images, recipe.training.batch_size, recipe.training.epochs)
    feed = Feed(train, test, recipe.data, device, place.threads)
    solver = make_solver(network, recipe.solver)
    return Trial(recipe, place, device, network, network, solver, 1, train, test, length, feed)


def _shuffled(test: TestStream, recipe: Recipe) -> TestStream:
    """The images in random order: a set may be stored class by class, but each minibatch needs all classes."""
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
