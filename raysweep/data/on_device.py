"""Images that fit on an accelerator are kept there as uint8 pixels, and bit-identical batches are cut there.

This requires crops that are neither rotated nor resized, and pre-processing of each pixel separately, which is applied
once to all pixels. Other batches are cut on the host.
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
"""Bytes of pixels that are decoded and copied to the device at a time."""


class DeviceImages:
    """The pixels of all images of a file, one image after another, on a device."""

    def __init__(
        self, file: ImageFile, device: torch.device, preprocess: Preprocessing = rgb, threads: int = 1
    ) -> None:
        """Decode JPEG images with `threads` threads, and pre-process all images.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        count = int(file.firsts[-1])
        black = preprocess(np.zeros((1, 1, 1, PIXEL), np.uint8)).reshape(1, -1)
        self.pixels = torch.empty((count + 1, black.shape[1]), dtype=torch.uint8, device=device)
        """(pixels + 1, C). The last pixel is black and stands for everything outside the images."""
        self.pixels[count:] = torch.from_numpy(black).to(device)
        # 32 bits are enough for most sets, and most of the bytes that are read are indices.
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
        """The crops (N, side, side, C) as `ImageFile.cut` returns them; `crops` are neither rotated nor resized."""
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
    """Ranges of at least one image; a range of several has at most CHUNK bytes."""
    first = 0
    while first < file.num_images:
        room = file.firsts[first] + CHUNK // PIXEL
        last = max(first + 1, int(np.searchsorted(file.firsts, room, "right")) - 1)
        yield slice(first, last)
        first = last


@dataclass(frozen=True)
class DeviceBatch:
    """A `Batch` on the device."""

    images: Tensor
    labels: Tensor


class DeviceStream:
    """The batches of a stream, cut on a device."""

    def __init__(self, stream: ImageStream, images: DeviceImages) -> None:
        """`images` are those of the stream's file, pre-processed like the stream's."""
        self.stream = stream
        self.images = images
        self.labels = torch.from_numpy(stream.labels).to(images.pixels.device)

    def batch(self, number: int, *, rows: slice | None = None) -> DeviceBatch:
        """Batch `number` of the stream, or the given rows of it."""
        crops = self.stream.crops(self.stream.positions(number)[rows or slice(None)])
        ids = torch.from_numpy(crops.ids.copy()).to(self.labels.device, non_blocking=True)
        return DeviceBatch(self.images.cut(crops, self.stream.side, self.stream.pad), self.labels[ids])


def can_cut_on_device(stream: ImageStream) -> bool:
    """Whether the stream's batches can be cut on a device."""
    return not (stream.resamples or needs_whole_image(stream.preprocess))


def size_on_device(file: ImageFile) -> int:
    """The largest number of bytes that the pixels of a file take on a device."""
    return PIXEL * int(file.firsts[-1] + 1)
