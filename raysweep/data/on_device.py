"""Images that fit on an accelerator lie there as uint8 pixels, and batches are cut there: the same ones, bit for bit.

Only crops that are neither turned nor resized, and only pre-processing that looks at every pixel by itself: it is
applied once to all of them. Everything else is cut on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raysweep.data.crops import Crops
from raysweep.data.image_file import ImageFile, Pool
from raysweep.data.loops import PIXEL
from raysweep.data.preprocess import Preprocessing, needs_whole_image, rgb
from raysweep.data.stream import ImageStream

CHUNK = 1 << 26
"""Bytes of pixels on their way to the device."""


class DeviceImages:
    """All images of a file, pixel after pixel, on a device."""

    def __init__(
        self, file: ImageFile, device: torch.device, preprocess: Preprocessing = rgb, threads: int = 1
    ) -> None:
        """Decode them where they are JPEG, `threads` at once, and pre-process them.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        count = int(file.firsts[-1])
        black = preprocess(np.zeros((1, 1, 1, PIXEL), np.uint8)).reshape(1, -1)
        self.pixels = torch.empty((count + 1, black.shape[1]), dtype=torch.uint8, device=device)
        """The last one is black: what lies outside the images."""
        self.pixels[count:] = torch.from_numpy(black).to(device)
        # 32 bits reach as far as most sets do, and indices are most of what is read.
        self.index = torch.int32 if count < 2**31 else torch.int64
        numbers = np.stack([file.firsts[:-1], file.beton.heights, file.beton.widths])
        self.firsts, self.heights, self.widths = torch.from_numpy(numbers).to(device=device, dtype=self.index)
        self._fill(file, preprocess, Pool(threads))

    def _fill(self, file: ImageFile, preprocess: Preprocessing, pool: Pool) -> None:
        for images in _chunks(file):
            first, last = file.firsts[[images.start, images.stop]].tolist()
            chunk = np.empty((1, 1, last - first, PIXEL), np.uint8)
            file.unpack(images, chunk.reshape(-1), pool)
            self.pixels[first:last] = torch.from_numpy(preprocess(chunk)[0, 0]).to(self.pixels.device)

    def cut(self, crops: Crops, side: int, pad: int) -> Tensor:
        """The crops as `ImageFile.cut` makes them, (N, side, side, C), of crops that are cut as they are."""
        where = torch.from_numpy(crops.where).to(self.pixels.device, self.index, non_blocking=True)
        ids, top, left, mirrored = where.T
        steps = torch.arange(side, dtype=self.index, device=where.device)
        height, width = self.heights[ids][:, None], self.widths[ids][:, None]
        rows = (top - pad)[:, None] + steps
        columns = (left - pad)[:, None] + torch.where(mirrored.bool()[:, None], steps.flip(0), steps)
        starts = self.firsts[ids][:, None] + rows * width
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        places = torch.where(inside, starts[:, :, None] + columns[:, None, :], len(self.pixels) - 1)
        return self.pixels.index_select(0, places.flatten()).view(len(ids), side, side, -1)


def _chunks(file: ImageFile) -> Iterator[slice]:
    """Ranges of images of at most CHUNK bytes together, and at least one each."""
    first = 0
    while first < file.num_images:
        room = file.firsts[first] + CHUNK // PIXEL
        last = max(first + 1, int(np.searchsorted(file.firsts, room, "right")) - 1)
        yield slice(first, last)
        first = last


@dataclass(frozen=True)
class DeviceBatch:
    """As `Batch`, on the device."""

    images: Tensor
    labels: Tensor


class DeviceStream:
    """The batches of a stream, cut on a device."""

    def __init__(self, stream: ImageStream, images: DeviceImages) -> None:
        """`images` are those of the stream's file, pre-processed as the stream says."""
        self.stream = stream
        self.images = images
        self.labels = torch.from_numpy(stream.labels).to(images.pixels.device)

    def batch(self, number: int, *, rows: slice | None = None) -> DeviceBatch:
        """Batch `number` of the stream, or those rows of it."""
        crops = self.stream.crops(self.stream.positions(number)[rows or slice(None)])
        ids = torch.from_numpy(crops.ids.copy()).to(self.labels.device, non_blocking=True)
        return DeviceBatch(self.images.cut(crops, self.stream.side, self.stream.pad), self.labels[ids])


def can_be_cut_there(stream: ImageStream) -> bool:
    """Whether a device can make the stream's batches."""
    return not (stream.resamples or needs_whole_image(stream.preprocess))


def size_there(file: ImageFile) -> int:
    """Bytes that the pixels of a file take on a device, at most."""
    return PIXEL * int(file.firsts[-1] + 1)
