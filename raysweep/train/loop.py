"""The training loop of one trial in plain torch: a generator of one dict per epoch. Knows neither Ray nor the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raysweep.data.manifest import Manifest
from raysweep.data.on_device import DeviceBatch
from raysweep.data.prefetch import Prefetch
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import Batch, TestStream, TrainStream
from raysweep.errors import RaysweepError
from raysweep.networks import build_network
from raysweep.nn.blocks import drop_paths
from raysweep.nn.inits import INITS, unit_variance
from raysweep.nn.input_nets import INPUT_NETS
from raysweep.nn.norms import uses_batch_statistics
from raysweep.optim.schedules import SCHEDULES, learning_rate
from raysweep.optim.solvers import SOLVERS, make_solver, set_learning_rate
from raysweep.recipe import Length, Recipe
from raysweep.train import checkpoint, memory, trunk
from raysweep.train.feed import Feed, Inputs
from raysweep.train.seeding import derive, generator, seed_torch
from raysweep.train.streams import open_streams
from raysweep.train.task import Placement
from raysweep.train.update import Training, fitted_update
from raysweep.validate import check_batch, check_recipe

LOSS_CHECK_EVERY = 50
"""Number of updates between checks of the loss, each of which waits for the accelerator."""


class BrokenOffError(Exception):
    """The node is about to go; `state` is now that of the middle of an epoch."""


@dataclass(frozen=True)
class Part:
    """The finished part of an epoch."""

    updates: int = 0
    loss: float = 0.0
    """Sum over the updates, nats."""
    train_s: float = 0.0
    wait_s: float = 0.0


@dataclass
class Trial(Training):
    """A trial while it trains: its network and its images."""

    train: TrainStream
    test: TestStream
    length: Length
    feed: Feed
    part: Part = Part()
    """Where the current epoch was broken off."""
    predicted: Tensor | None = None
    """The outputs that were the largest in the last test (N,), in the order of its images."""

    def close(self) -> None:
        """Release what is shared with other trials."""
        self.feed.close()

    @property
    def rows(self) -> slice:
        """The rows of every batch that this rank trains on."""
        share = self.recipe.training.batch_size // self.place.world_size
        return slice(self.place.rank * share, (self.place.rank + 1) * share)

    def inputs(self, batch: Batch | Inputs | DeviceBatch) -> Tensor:
        """uint8 (N, side, side, C) to the network's input (N, C, side, side): mean subtracted first, then scaled."""
        if isinstance(batch, Inputs):
            return channels_first(torch.from_numpy(batch.values), self.recipe)
        return normalise(batch.images, self.recipe, self.device)

    def labels(self, batch: Batch | Inputs | DeviceBatch) -> Tensor:
        """Class numbers (N,) on the device."""
        return torch.as_tensor(batch.labels, device=self.device)


def normalise(images: np.ndarray[Any, Any] | Tensor, recipe: Recipe, device: torch.device) -> Tensor:
    """scale * (x - mean) on the device, where it costs least; (N, side, side, C) becomes (N, C, side, side).

    `data.mean` has one number, or one for each of the C channels. Pixels are copied to the device in 8 bits and in the
    order in which they are stored, that of channels-last.
    """
    data = recipe.data
    pixels = torch.as_tensor(images, device=device)
    return channels_first(pixels.float().sub_(_mean_pixel(data.mean, device)).mul_(data.scale), recipe)


def channels_first(values: Tensor, recipe: Recipe) -> Tensor:
    """Permute (N, side, side, C) to (N, C, side, side), in the recipe's memory format."""
    layout = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
    return values.permute(0, 3, 1, 2).contiguous(memory_format=layout)


@cache
def _mean_pixel(mean: tuple[float, ...], device: torch.device) -> Tensor:
    # Cached: a copy to an accelerator in every update would wait for it.
    return torch.tensor(mean, device=device)


def check_trial(recipe: Recipe, place: Placement = Placement()) -> None:  # noqa: B008 (frozen)
    """Refuse a recipe that cannot be trained as requested.

    Raises:
        RaysweepError: a value out of range, an unknown pre-processing, initialisation, solver or schedule, or a batch
            that cannot be divided among the workers.
    """
    check_recipe(recipe)
    for registry, name in (
        (PREPROCESSINGS, recipe.data.preprocess),
        (INITS, recipe.init.method),
        (SOLVERS, recipe.solver.name),
        (SCHEDULES, recipe.schedule.name),
    ):
        registry.entry(name)
    check_batch(recipe, place.world_size)
    if recipe.network.survival < 1 and place.world_size > 1:
        raise RaysweepError(
            f"with {place.world_size} workers per trial each would drop different blocks (network.survival is "
            f"{recipe.network.survival:g}): use --workers-per-trial 1."
        )
    named = recipe.network.norm not in ("none", "own")  # the own one of a network from outside is seen once it is built
    if named or INPUT_NETS[recipe.network.input_net](3).batch_statistics:
        place.check_whole_batches()


def prepare(recipe: Recipe, folder: Path, manifest: Manifest, place: Placement, trained: bytes | None = None) -> Trial:
    """Open the images, build the network and initialise it, to the same weights on every rank.

    `trained` is a checkpoint of the trained network that the recipe starts from.

    Raises:
        RaysweepError: images, network, trunk and batch do not fit together.
    """
    check_trial(recipe, place)
    device = torch.device(place.device)
    train, test = open_streams(recipe, folder, manifest, place)
    network = initial_network(recipe, train, device, trained)
    if uses_batch_statistics(network):
        place.check_whole_batches()
    solver = make_solver(network, recipe.solver)
    model = DistributedDataParallel(network) if place.world_size > 1 else network
    length = Length(train.num_images, recipe.training.batch_size, recipe.training.epochs)
    seed_torch(derive(recipe.seed, f"rank {place.rank}"))
    feed = Feed(train, test, recipe.data, device, place.threads, place.share_images)
    return Trial(recipe, place, device, network, model, solver, recipe.training.accumulate, train, test, length, feed)


def initial_network(
    recipe: Recipe, train: TrainStream, device: torch.device, trained: bytes | None = None
) -> nn.Module:
    """Build the network with its initial weights; data-driven methods see the first training batch.

    Raises:
        RaysweepError: the recipe starts from a trained trunk, but none is given or it does not fit.
    """
    images = normalise(train.batch(0).images, recipe, device)
    network = with_weights(lambda: build_network(recipe.network, recipe.data.shape), recipe, images)
    if recipe.init.trunk != "none":
        start_from(network, recipe, images, trained)
    return network


def with_weights(build: Callable[[], nn.Module], recipe: Recipe, images: Tensor) -> nn.Module:
    """Build the network on the images' device, in the recipe's memory format, with its initial weights."""
    seed_torch(recipe.seed)
    network = build().to(images.device)
    if recipe.training.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    INITS[recipe.init.method](network, images, generator(recipe.seed, "weights"))
    return network


def start_from(network: nn.Module, recipe: Recipe, images: Tensor, trained: bytes | None) -> None:
    """Load the trained trunk, and freeze it if the recipe says so; LSUV scales the classifier to its outputs.

    Raises:
        RaysweepError: no trunk is given, or it does not fit.
    """
    if trained is None:
        raise RaysweepError(
            f"init.trunk is {recipe.init.trunk}, but no trained network is given: pass its store with --trunks."
        )
    trunk.load_trunk(network, trained)
    if recipe.init.method.startswith("lsuv"):
        unit_variance(network, images, within=trunk.classifiers(network)[0])
    if recipe.init.trunk == "frozen":
        trunk.freeze(network)


def restore(trial: Trial, saved: bytes | None) -> int:
    """Restore a checkpoint, if there is one; returns the number of finished epochs.

    Raises:
        RaysweepError: not a checkpoint of this trial.
    """
    if saved is None:
        return 0
    position = checkpoint.load(saved, trial.network, trial.solver, trial.device)
    trial.part = Part(**position.get("part", {}))
    return int(position["epoch"])


def state(trial: Trial, epoch: int) -> bytes:
    """Make a checkpoint of the trial after an epoch, and after the finished part of the next one."""
    return checkpoint.save(trial.network, trial.solver, {"epoch": epoch, "part": asdict(trial.part)}, trial.device)


def epochs(trial: Trial, done: int = 0) -> Iterator[dict[str, Any]]:
    """Train the epochs after `done`; yields the row of each epoch, while `state` is that of the same epoch.

    A loss that is not finite ends the training: the `status` of that row is diverged, and it may have no accuracy. The
    last row's status is finished, that of all others running.

    Raises:
        BrokenOffError: the trial has to leave its node.
    """
    for epoch in range(done + 1, trial.length.num_epochs + 1):
        if trial.length.end(epoch) == trial.length.end(epoch - 1):
            continue  # a batch larger than the set spans several epochs: no update ends in this one
        row = run_epoch(trial, epoch)
        row["planned_epochs"] = trial.length.num_epochs
        row["status"] = status_of(row, trial.length.num_epochs)
        yield row
        if row["status"] == "diverged":
            return


def status_of(row: Mapping[str, Any], num_epochs: int) -> str:
    """Return the status of a trial after this epoch: running, finished or diverged."""
    if not all(np.isfinite(row[key]) for key in ("train_loss", "logloss") if row[key] is not None):
        return "diverged"
    return "finished" if row["epoch"] == num_epochs else "running"


def run_epoch(trial: Trial, epoch: int) -> dict[str, Any]:
    """Train one epoch, or the rest of it, and test."""
    if trial.place.world_size > 1:
        # A checkpoint holds the generators of rank 0 only: each rank starts each epoch from its own, resumed or not.
        seed_torch(derive(trial.recipe.seed, f"rank {trial.place.rank} epoch {epoch}"))
    memory.reset_peak(trial.device)
    start = time.perf_counter() - trial.part.train_s
    first, last = trial.length.end(epoch - 1), trial.length.end(epoch)
    loss, wait_s = train_updates(trial, first, last)
    trial.part = Part()
    train_s = time.perf_counter() - start
    top1, logloss, test_wait_s = test(trial) if np.isfinite(loss) else (None, None, 0.0)
    wall_s = time.perf_counter() - start
    return {
        "epoch": epoch,
        "iteration": last,
        "images_seen": last * trial.recipe.training.batch_size,
        "lr": _lr(trial, last - 1),
        "train_loss": loss,
        "top1": top1,
        "logloss": logloss,
        "wall_s": wall_s,
        "train_s": train_s,
        "test_s": wall_s - train_s,
        "data_wait_s": wait_s + test_wait_s,
        "images_per_s": (last - first) * trial.recipe.training.batch_size / train_s,
        "peak_memory_gib": memory.peak_gib(trial.device),
        "sub_batches": trial.parts,
    }


def _lr(trial: Trial, iteration: int) -> float:
    recipe = trial.recipe
    return learning_rate(recipe.schedule, recipe.solver.lr, iteration, trial.length.iterations)


def train_updates(trial: Trial, first: int, last: int) -> tuple[float, float]:
    """Make updates first..last-1; returns the mean training loss, nats (not finite: stopped early), and data wait, s.

    Raises:
        BrokenOffError: the trial has to leave its node.
    """
    begun, start, paths = trial.part, time.perf_counter(), drop_paths(trial.network)
    trial.model.train()
    if trial.recipe.init.trunk == "frozen":
        trunk.hold_norms(trial.network)
    total = torch.tensor(begun.loss, device=trial.device)
    make = partial(trial.feed.train_batch, rows=trial.rows)
    with Prefetch(make, first + begun.updates, last, trial.feed.depth, trial.feed.is_busy) as batches:
        for iteration, batch in enumerate(map(trial.feed.take, batches), first + begun.updates):
            set_learning_rate(trial.solver, _lr(trial, iteration))
            for path in paths:
                path.progress = iteration / trial.length.iterations
            total += fitted_update(trial, trial.inputs(batch), trial.labels(batch))
            if trial.place.on_step():
                train_s = begun.train_s + time.perf_counter() - start
                trial.part = Part(iteration + 1 - first, float(total), train_s, begun.wait_s + batches.wait_s)
                raise BrokenOffError
            if (iteration - first) % LOSS_CHECK_EVERY == LOSS_CHECK_EVERY - 1 and not np.isfinite(_mean(trial, total)):
                break
    return _mean(trial, total) / (last - first), begun.wait_s + batches.wait_s


def _mean(trial: Trial, value: Tensor) -> float:
    """Return the mean over the ranks, the same number on all of them."""
    if trial.place.world_size > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= trial.place.world_size
    return float(value)


@torch.no_grad()
def test(trial: Trial, most: int | None = None) -> tuple[float, float, float]:  # noqa: PT028 (no test of pytest)
    """Return top-1 accuracy (0..1), mean log loss (nats) over every test image once, and the data wait in seconds.

    `most` is a number of batches to stop after, where only the speed is of interest.
    """
    trial.network.eval()
    sums = torch.zeros(3, device=trial.device, dtype=torch.float64)
    trial.predicted = torch.zeros(trial.test.num_images, device=trial.device, dtype=torch.int64)
    mine = range(trial.place.rank, len(trial.test), trial.place.world_size)[:most]
    with Prefetch(
        lambda k: trial.feed.test_batch(mine[k]), 0, len(mine), trial.feed.depth, trial.feed.is_busy
    ) as batches:
        for number, batch in zip(mine, map(trial.feed.take, batches), strict=True):
            with trial.autocast():
                logits = torch.cat([trial.network(part) for part in trial.inputs(batch).chunk(trial.parts)]).float()
            labels = trial.labels(batch)
            loss = F.cross_entropy(logits, labels, reduction="sum")
            predicted = logits.argmax(1)
            sums += torch.stack([(predicted == labels).sum(), loss, torch.tensor(len(labels))]).to(sums)
            trial.predicted[number * trial.test.batch_size :][: len(labels)] = predicted
            trial.place.on_step()
    if trial.place.world_size > 1:
        torch.distributed.all_reduce(sums)
        torch.distributed.all_reduce(trial.predicted)  # every rank has its own images, and 0 for the others
    correct, loss, images = sums.tolist()
    return correct / images, loss / images, batches.wait_s
