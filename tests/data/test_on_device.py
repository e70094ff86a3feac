"""Batches cut on a device (here torch's CPU) are bit-identical to the stream's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.data import on_device as device_module
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import Manifest
from raysweep.data.on_device import DeviceImages, DeviceStream, can_cut_on_device
from raysweep.data.preprocess import PREPROCESSINGS, needs_whole_image
from raysweep.data.randomness import subset
from raysweep.data.stream import TestStream, TrainStream

CPU = torch.device("cpu")


@pytest.fixture(params=["raw", "jpg"])
def mixed(request: pytest.FixtureRequest, mixed_sizes: dict[str, tuple[Path, Manifest]]) -> ImageFile:
    """Images of several sizes."""
    return ImageFile.open(*mixed_sizes[request.param], "train")


def same(stream: TrainStream | TestStream, cut: DeviceStream, number: int, **rows: Any) -> bool:
    batch, there = stream.batch(number, **rows), cut.batch(number, **rows)
    assert there.images.dtype == torch.uint8
    assert there.labels.numpy().tolist() == batch.labels.tolist()
    return np.array_equal(there.images.numpy(), batch.images)


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("chunk", [1, 10_000, device_module.CHUNK])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pad": 5, "side": 40},
        {"pad": 35, "side": 20},
        {"mirror": False, "side": 29},
        {"indices": np.array([7, 2, 3])},
    ],
    ids=["plain", "border", "wide border", "no mirrors", "subset"],
)
def test_training_batches_of_images_of_several_sizes(
    mixed: ImageFile, changes: dict[str, Any], chunk: int, index: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "CHUNK", chunk)
    stream = TrainStream(mixed, **({"side": 30, "batch_size": 8, "seed": 3} | changes))
    images = DeviceImages(mixed, CPU, threads=2)
    images.index = index
    cut = DeviceStream(stream, images)
    assert all(same(stream, cut, number) for number in range(8))
    assert same(stream, cut, 5, rows=slice(2, 7))


def test_test_batches(mixed: ImageFile) -> None:
    stream = TestStream(mixed, side=30, batch_size=7)
    cut = DeviceStream(stream, DeviceImages(mixed, CPU))
    assert len(stream) == 5
    assert all(same(stream, cut, number) for number in range(5))


@pytest.mark.parametrize("name", [entry.name for entry in PREPROCESSINGS])
def test_every_pointwise_preprocessing_and_its_border(name: str, stored: dict[str, tuple[Path, Manifest]]) -> None:
    """Pre-processing before or after the crop is the same exactly for those that are not marked `whole_image`."""
    file = ImageFile.open(*stored["raw"], "train")
    preprocess = PREPROCESSINGS[name]
    stream = TrainStream(file, side=36, batch_size=40, seed=1, pad=4, preprocess=preprocess)
    try:
        cut = DeviceStream(stream, DeviceImages(file, CPU, preprocess))
        agrees = all(same(stream, cut, number) for number in range(4))
    except Exception:  # some do not work on a row of pixels
        agrees = False
    assert agrees == can_cut_on_device(stream) != needs_whole_image(preprocess)


def test_rotated_or_resized_crops_are_cut_on_the_host(mixed: ImageFile) -> None:
    shared = {"side": 24, "batch_size": 8, "seed": 0}
    assert can_cut_on_device(TrainStream(mixed, **shared, indices=subset(mixed.labels, 0.5, 0)))
    assert not can_cut_on_device(TrainStream(mixed, **shared, scales=(1.0, 0.9)))
    assert not can_cut_on_device(TrainStream(mixed, **shared, rotation=3.0))
    assert not can_cut_on_device(TestStream(mixed, side=24, batch_size=8, scale=0.9))
