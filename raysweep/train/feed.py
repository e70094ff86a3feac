"""Batches on their way to the device: made and copied in the loading thread while the device computes.

A batch crosses the bus as uint8, from pinned memory, on a CUDA stream of its own: batch k + 1 is copied while batch k
is trained on. Images that fit on the accelerator do not cross it at all: they lie there, and batches are cut there.
Those that do not are decoded once for all trials of the machine that want them, where the trial's place says so.

For the CPU images are normalised as they come out of the mapped file, the decoder or the shared memory, in one pass
where torch's operators take four. What is for CUDA alone has not run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raysweep.data.loops import normalise
from raysweep.data.on_device import DeviceBatch, DeviceImages, DeviceStream, can_be_cut_there, size_there
from raysweep.data.shared_stream import SharedStream, share
from raysweep.data.stream import Batch, ImageStream, TestStream, TrainStream
from raysweep.recipe import DataRecipe

Stream = ImageStream | DeviceStream | SharedStream
DEVICE_SHARE = 1 / 2
"""Of the device's free memory that the images of a trial may take; the rest is the network's."""
_resident: dict[object, DeviceImages] = {}
"""What lies on the device for the trials of this process: the images of the last one."""


@dataclass(frozen=True)
class Inputs:
    """A batch for a network on the CPU: (N, side, side, C), centred and scaled; class numbers (N,)."""

    values: NDArray[np.float32]
    labels: NDArray[np.int64]


class Feed:
    """The batches of one trial, for one device. `close` gives back what it shares with other trials."""

    def __init__(
        self,
        train: TrainStream,
        test: TestStream,
        data: DataRecipe,
        device: torch.device,
        threads: int = 1,
        share_images: bool = False,
    ) -> None:
        """Put the images on the device where they fit, `threads` decoding at once; else share them if that is asked."""
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
                torch.cuda.synchronize(device)  # they are read on another stream than they were written on
        elif share_images:
            self.train, self.test = share(train), share(test)

    def close(self) -> None:
        """Give the places among the sharers back."""
        for stream in (self.train, self.test):
            if isinstance(stream, SharedStream):
                stream.close()

    @property
    def depth(self) -> int:
        """Batches to make ahead: those of a CPU are four times as large, and no copy has to be under way."""
        return 1 if self.copies is None else 2

    def train_batch(self, iteration: int, rows: slice | None = None) -> Inputs | DeviceBatch:
        """Training batch number `iteration`, or those rows of it, on the device; called in the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        return self._batch(self.train, iteration, rows)

    def test_batch(self, k: int) -> Inputs | DeviceBatch:
        """Test batch number k on the device; called in the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        return self._batch(self.test, k, None)

    def _batch(self, stream: Stream, number: int, rows: slice | None) -> Inputs | DeviceBatch:
        if self.copies is not None:
            with torch.cuda.stream(self.copies):
                return self._arrived(stream.batch(number, rows=rows))
        return (
            stream.batch(number, rows=rows) if isinstance(stream, DeviceStream) else self._inputs(stream, number, rows)
        )

    def _inputs(self, stream: ImageStream | SharedStream, number: int, rows: slice | None) -> Inputs:
        """Normalised where the images lie: nothing is copied before."""
        values = np.empty((len(stream.positions(number)[rows or slice(None)]), *self.shape), np.float32)

        def take(of_batch: slice, images: NDArray[np.uint8]) -> None:
            target = values[of_batch]
            self.pool.map(
                lambda part: normalise(images[part], self.data.mean, self.data.scale, target[part]),
                self.pool.shares(len(images)),
            )

        labels, _ = stream.deliver(number, take, rows=rows)
        return Inputs(values, labels)

    def _arrived(self, batch: Batch | DeviceBatch) -> DeviceBatch:
        """The batch on the device, all of it there: so the time of the copy is part of the wait, if there is one."""
        if isinstance(batch, Batch):
            images, labels = (torch.from_numpy(part).pin_memory() for part in (batch.images, batch.labels))
            there = (part.to(self.device, non_blocking=True) for part in (images, labels))
            batch = DeviceBatch(*there)
        self.copies.synchronize()
        return batch

    def take(self, batch: Inputs | DeviceBatch) -> Inputs | DeviceBatch:
        """The same batch; called where it is used, so that its memory is not given away before it has been."""
        if self.copies is not None and isinstance(batch, DeviceBatch):
            for part in (batch.images, batch.labels):
                part.record_stream(torch.cuda.current_stream(self.device))
        return batch

    def is_busy(self) -> bool:
        """Whether the device still works on earlier batches, so that nothing has been lost by waiting for the next."""
        return self.copies is not None and not torch.cuda.current_stream(self.device).query()


def fits(streams: Sequence[TrainStream | TestStream], device: torch.device) -> bool:
    """Whether the images may lie on the device: their batches can be cut there, and they leave room enough."""
    if not all(map(can_be_cut_there, streams)):
        return False
    keys = [key_of(stream, device) for stream in streams]
    for key in _resident.keys() - set(keys):
        del _resident[key]
    # By key: images held out lie in the file of those trained on.
    missing = {key: stream.file for key, stream in zip(keys, streams, strict=True) if key not in _resident}
    return sum(map(size_there, missing.values())) <= DEVICE_SHARE * free_bytes(device)


def free_bytes(device: torch.device) -> int:
    """Free memory of an accelerator, within the share of this process; none on the CPU.

    There cutting from the mapped file is faster.
    """
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.memory.get_per_process_memory_fraction(device)
    return min(free, int(share * total) - torch.cuda.memory_reserved(device))


def images_on(device: torch.device, stream: TrainStream | TestStream, threads: int) -> DeviceImages:
    """The images of a stream on the device; put there by the first trial of this process that wants them.

    Raises:
        RaysweepError: an image cannot be decoded.
    """
    key = key_of(stream, device)
    if key not in _resident:
        _resident[key] = DeviceImages(stream.file, device, stream.preprocess, threads)
    return _resident[key]


def key_of(stream: TrainStream | TestStream, device: torch.device) -> object:
    """What tells resident images apart: the file as it is now, and what was done to its pixels."""
    path = stream.file.beton.path
    status = path.stat()
    return path.resolve(), status.st_mtime_ns, status.st_size, stream.preprocess, device
