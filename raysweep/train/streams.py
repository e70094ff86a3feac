"""The training and test images of a trial, as its recipe defines them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raysweep.data.in_memory import open_images
from raysweep.data.manifest import Manifest
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.randomness import held_out, subset, wrong_labels
from raysweep.data.stream import TestStream, TrainStream
from raysweep.recipe import Recipe
from raysweep.train.seeding import derive
from raysweep.train.task import Placement


def open_streams(recipe: Recipe, folder: Path, manifest: Manifest, place: Placement) -> tuple[TrainStream, TestStream]:
    """The streams of training and of test images of a recipe.

    Raises:
        RaysweepError: images are smaller than the crop, or files are damaged.
    """
    data = recipe.data
    train, test = (open_images(folder, manifest, split, place.threads) for split in ("train", "test"))
    held = held_out(train.labels, data.holdout) if data.holdout else None
    kept = _kept(train.labels, held, data.train_fraction, recipe.seed)
    preprocess = PREPROCESSINGS[data.preprocess]
    shared = {"side": data.side, "batch_size": recipe.training.batch_size, "threads": place.threads}
    stream = TrainStream(
        train,
        seed=derive(recipe.seed, "images"),
        mirror=data.mirror,
        pad=data.pad,
        indices=kept,
        labels=wrong_labels(train.labels, data.label_noise, len(manifest.classes), recipe.seed, kept),
        scales=data.scales,
        rotation=data.rotation,
        preprocess=preprocess,
        **shared,
    )
    tested = test if held is None else train
    return stream, TestStream(tested, indices=held, scale=data.test_scale, preprocess=preprocess, **shared)


def _kept(
    labels: NDArray[np.int64], held: NDArray[np.int64] | None, fraction: float, seed: int
) -> NDArray[np.int64] | None:
    """Indices of the training images; none means all, which saves listing them at the start of every trial."""
    if held is None:
        return None if fraction == 1 else subset(labels, fraction, seed)
    rest = np.delete(np.arange(len(labels)), held)
    return rest if fraction == 1 else rest[subset(labels[rest], fraction, seed)]
