"""The images of a trial, as its recipe wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raysweep.data.decoded import open_images
from raysweep.data.manifest import Manifest
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import TestStream, TrainStream, held_out, subset, wrong_labels
from raysweep.recipe import Recipe
from raysweep.train.seeding import derive
from raysweep.train.task import Placement


def open_streams(recipe: Recipe, folder: Path, manifest: Manifest, place: Placement) -> tuple[TrainStream, TestStream]:
    """The training and the test images as the recipe wants them.

    Raises:
        RaysweepError: images smaller than the crop, or damaged files.
    """
    data = recipe.data
    train, test = (open_images(folder, manifest, split, place.threads) for split in ("train", "test"))
    held = held_out(train.labels, data.holdout)
    rest = np.setdiff1d(np.arange(train.num_images), held, assume_unique=True)
    kept = rest if data.train_fraction == 1 else rest[subset(train.labels[rest], data.train_fraction, recipe.seed)]
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
    tested, ids = (train, held) if data.holdout else (test, None)
    return stream, TestStream(tested, indices=ids, scale=data.test_scale, preprocess=preprocess, **shared)
