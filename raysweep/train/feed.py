"""Batches on their way to the device: made and copied in the loading thread while the device computes.

A batch crosses the bus as uint8, from pinned memory, on a CUDA stream of its own: batch k + 1 is copied while batch k
is trained on. Images that fit on the accelerator do not cross it at all: they lie there, and batches are cut there.
Those that do not are decoded once for all trials of the machine that want them, where the trial's place says so. On the
CPU a batch is what the stream made, and images stay in the mapped file, which is the faster way there. What is for CUDA
alone has not run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from raysweep.data.device import DeviceBatch, DeviceImages, DeviceStream, can_be_cut_there, size_there
from raysweep.data.shared import SharedStream, share
from raysweep.data.stream import Batch, TestStream, TrainStream

DEVICE_SHARE = 1 / 2
"""Of the device's free memory that the images of a trial may take; the rest is the network's."""
_resident: dict[object, DeviceImages] = {}
"""What lies on the device for the trials of this process: the images of the last one."""


class Feed:
    """The batches of one trial, for one device. `close` gives back what it shares with other trials."""

    def __init__(
        self, train: TrainStream, test: TestStream, device: torch.device, threads: int = 1, share_images: bool = False
    ) -> None:
        """Put the images on the device where they fit, `threads` decoding at once; else share them if that is asked."""
        self.device = device
        self.copies: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.train: TrainStream | DeviceStream | SharedStream = train
        self.test: TestStream | DeviceStream | SharedStream = test
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

    def train_batch(self, iteration: int, rows: slice | None = None) -> Batch | DeviceBatch:
        """Training batch number `iteration`, or those rows of it, on the device; called in the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        if self.copies is None:
            return self.train.batch(iteration, rows=rows)
        with torch.cuda.stream(self.copies):
            return self._arrived(self.train.batch(iteration, rows=rows))

    def test_batch(self, k: int) -> Batch | DeviceBatch:
        """Test batch number k on the device; called in the loading thread.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        if self.copies is None:
            return self.test.batch(k)
        with torch.cuda.stream(self.copies):
            return self._arrived(self.test.batch(k))

    def _arrived(self, batch: Batch | DeviceBatch) -> DeviceBatch:
        """The batch on the device, all of it there: so the time of the copy is part of the wait, if there is one."""
        if isinstance(batch, Batch):
            images, labels = (torch.from_numpy(part).pin_memory() for part in (batch.images, batch.labels))
            there = (part.to(self.device, non_blocking=True) for part in (images, labels))
            batch = DeviceBatch(*there)
        self.copies.synchronize()
        return batch

    def take(self, batch: Batch | DeviceBatch) -> Batch | DeviceBatch:
        """The same batch; called where it is used, so that its memory is not given away before it has been."""
        if self.copies is not None:
            for part in (batch.images, batch.labels):
                assert isinstance(part, Tensor)
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
    missing = [stream for stream, key in zip(streams, keys, strict=True) if key not in _resident]
    return sum(size_there(stream.file) for stream in missing) <= DEVICE_SHARE * free_bytes(device)


def free_bytes(device: torch.device) -> int:
    """Free memory of an accelerator; none on the CPU, where cutting from the mapped file is faster."""
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0])


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
