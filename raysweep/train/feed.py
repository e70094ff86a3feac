"""Batches for the device, prepared and copied by the loading thread while the device computes.

A batch is copied as uint8 from pinned memory on a separate CUDA stream: batch k + 1 is copied while batch k is used for
training. Images that fit on the accelerator are kept there, and batches are cut there. Other images are decoded once
for all trials on the machine that use them, if the trial's placement allows it.

For the CPU, images are normalised as they are read from the mapped file, the decoder or shared memory, in one pass
where torch's operators take four. The code for CUDA has not run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raysweep.data.loops import normalise
from raysweep.data.on_device import DeviceBatch, DeviceImages, DeviceStream, can_cut_on_device, size_on_device
from raysweep.data.shared_stream import SharedStream, share
from raysweep.data.stream import Batch, ImageStream, TestStream, TrainStream
from raysweep.recipe import DataRecipe

Stream = ImageStream | DeviceStream | SharedStream
DEVICE_SHARE = 1 / 2
"""Largest share of the device's free memory for the images of a trial; the rest is for the network."""
_resident: dict[object, DeviceImages] = {}
"""The images on the device: those of this process's latest trial."""


@dataclass(frozen=True)
class Inputs:
    """A batch for a network on the CPU: centred and scaled images (N, side, side, C) and class numbers (N,)."""

    values: NDArray[np.float32]
    labels: NDArray[np.int64]


class Feed:
    """The batches of one trial for one device. `close` ends the sharing of images with other trials."""

    def __init__(
        self,
        train: TrainStream,
        test: TestStream,
        data: DataRecipe,
        device: torch.device,
        threads: int = 1,
        share_images: bool = False,
    ) -> None:
        """Put the images on the device if they fit, decoding with `threads` threads; else share them if asked to."""
        self.data = data
        self.device = device
        self.pool = train.pool
        self.copies: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.shape = train.shape
        self.train: Stream = train
        self.test: Stream = test
        if fits((train, test), device):
            self.train, self.test = (DeviceStream(s, images_on(device, s, threads)) for s in (train, test))
            if self.copies is not None:
                torch.cuda.synchronize(device)  # batches are cut on another CUDA stream
        elif share_images:
            self.train, self.test = share(train), share(test)

    def close(self) -> None:
        """Stop sharing images with other trials."""
        for stream in (self.train, self.test):
            if isinstance(stream, SharedStream):
                stream.close()

    @property
    def depth(self) -> int:
        """Number of batches to prepare ahead: one for a CPU, where they are four times as large and need no copy."""
        return 1 if self.copies is None else 2

    def train_batch(self, iteration: int, rows: slice | None = None) -> Inputs | DeviceBatch:
        """Training batch number `iteration`, or the given rows of it, on the device; for the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        return self._batch(self.train, iteration, rows)

    def test_batch(self, k: int) -> Inputs | DeviceBatch:
        """Test batch number k on the device; for the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        return self._batch(self.test, k, None)

    def _batch(self, stream: Stream, number: int, rows: slice | None) -> Inputs | DeviceBatch:
        if self.copies is not None:
            with torch.cuda.stream(self.copies):
                return self._copied(stream.batch(number, rows=rows))
        if isinstance(stream, DeviceStream):
            return stream.batch(number, rows=rows)
        return self._inputs(stream, number, rows)

    def _inputs(self, stream: ImageStream | SharedStream, number: int, rows: slice | None) -> Inputs:
        """The normalised batch, computed directly from where the images are stored."""
        values = np.empty((len(stream.positions(number)[rows or slice(None)]), *self.shape), np.float32)

        def take(of_batch: slice, images: NDArray[np.uint8]) -> None:
            target = values[of_batch]
            self.pool.map(
                lambda part: normalise(images[part], self.data.mean, self.data.scale, target[part]),
                self.pool.shares(len(images)),
            )

        labels, _ = stream.deliver(number, take, rows=rows)
        return Inputs(values, labels)

    def _copied(self, batch: Batch | DeviceBatch) -> DeviceBatch:
        """The batch on the device, after its copy is complete: a wait for a batch includes a wait for its copy."""
        if isinstance(batch, Batch):
            images, labels = (torch.from_numpy(part).pin_memory() for part in (batch.images, batch.labels))
            batch = DeviceBatch(*(part.to(self.device, non_blocking=True) for part in (images, labels)))
        self.copies.synchronize()
        return batch

    def take(self, batch: Inputs | DeviceBatch) -> Inputs | DeviceBatch:
        """The batch itself, marked as used by the current CUDA stream so that its memory is not reused too early."""
        if self.copies is not None and isinstance(batch, DeviceBatch):
            for part in (batch.images, batch.labels):
                part.record_stream(torch.cuda.current_stream(self.device))
        return batch

    def is_busy(self) -> bool:
        """Whether the device is still computing earlier batches, so that waiting for the next one costs no time."""
        return self.copies is not None and not torch.cuda.current_stream(self.device).query()


def fits(streams: Sequence[TrainStream | TestStream], device: torch.device) -> bool:
    """Whether the images can be kept on the device: their batches can be cut there, and enough memory remains."""
    if not all(map(can_cut_on_device, streams)):
        return False
    keys = [_key(stream, device) for stream in streams]
    for key in _resident.keys() - set(keys):
        del _resident[key]
    # By key: held-out images are in the same file as the training images.
    missing = {key: stream.file for key, stream in zip(keys, streams, strict=True) if key not in _resident}
    return sum(map(size_on_device, missing.values())) <= DEVICE_SHARE * free_bytes(device)


def free_bytes(device: torch.device) -> int:
    """The free memory of an accelerator within the share of this process, in bytes.

    It is 0 for the CPU, where cutting from the mapped file is faster.
    """
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.memory.get_per_process_memory_fraction(device)
    return min(free, int(share * total) - torch.cuda.memory_reserved(device))


def images_on(device: torch.device, stream: TrainStream | TestStream, threads: int) -> DeviceImages:
    """The images of a stream on the device; the first trial of this process that needs them puts them there.

    Raises:
        RaysweepError: an image cannot be decoded.
    """
    key = _key(stream, device)
    if key not in _resident:
        _resident[key] = DeviceImages(stream.file, device, stream.preprocess, threads)
    return _resident[key]


def _key(stream: TrainStream | TestStream, device: torch.device) -> object:
    """The identity of images on a device: the current version of their file, and their pre-processing."""
    path = stream.file.beton.path
    status = path.stat()
    return path.resolve(), status.st_mtime_ns, status.st_size, stream.preprocess, device
