"""The images of one split, opened for reading, and the threads that decode and cut them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import RAW, Beton, read_beton
from raysweep.data.crops import Crops, finish
from raysweep.data.loops import PIXEL, cut, scratch, unpack
from raysweep.data.manifest import Manifest, check_size, write_command
from raysweep.data.preprocess import Preprocessing, rgb
from raysweep.errors import RaysweepError
from raysweep.safe import command

T = TypeVar("T")


@dataclass(frozen=True)
class ImageFile:
    """The images of one split, opened for reading."""

    beton: Beton
    scratch_pixels: int
    """The size of the largest JPEG image in px, for the decoding buffer; 0 if all images are stored as pixels."""

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, split: str) -> ImageFile:
        """Open the file of `train` or `test`.

        Raises:
            RaysweepError: the file is missing, damaged, or not the one that the manifest describes.
        """
        entry = manifest.splits[split]
        check_size(folder, entry)
        beton = read_beton(Path(folder) / entry.file)
        counts = np.unique(beton.labels, return_counts=True)
        expected = {label: count for label, count in enumerate(entry.class_counts) if count}
        if dict(zip(*(part.tolist() for part in counts), strict=True)) != expected:
            raise RaysweepError(
                f"the labels in {beton.path} ({len(beton):,} images) are not those of its manifest ({entry.images:,}). "
                f"Write it again with `{write_command(Path(folder), '--overwrite')}`."
            )
        encoded = beton.modes != RAW
        return cls(beton, int((beton.heights * beton.widths)[encoded].max(initial=0)))

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class number of every image."""
        return self.beton.labels

    @property
    def num_images(self) -> int:
        """The number of images."""
        return len(self.beton)

    @property
    def is_encoded(self) -> bool:
        """Whether any image is stored as JPEG rather than as pixels."""
        return self.scratch_pixels > 0

    @cached_property
    def firsts(self) -> NDArray[np.int64]:
        """The offset of each image if all are laid out one after another, and the total size (N + 1,), in px."""
        return np.concatenate([[0], np.cumsum(self.beton.heights * self.beton.widths)])

    def unpack(self, images: slice, out: NDArray[np.uint8], pool: Pool) -> None:
        """Write the pixels of a range of images, one after another, into the bytes `out`.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        at = self.firsts[images.start : images.stop + 1]

        def work(part: slice) -> None:
            begin, end = PIXEL * (at[[part.start, part.stop]] - at[0])
            first, count = images.start + part.start, part.stop - part.start
            done = unpack(*self.beton.tables, first, count, out[begin:end])
            if done < count:
                raise self._undecodable(first + done)

        pool.map(work, pool.shares(len(at) - 1))

    def as_pixels(self, pixels: NDArray[np.uint8]) -> ImageFile:
        """The same images, read from the pixels that `unpack` wrote for all of them."""
        starts, count = PIXEL * self.firsts, self.num_images
        modes = np.full(count, RAW, np.uint8)
        sizes = np.diff(starts).astype(np.uint64)
        beton = replace(self.beton, store=pixels, starts=starts[:-1].astype(np.uint64), sizes=sizes, modes=modes)
        return ImageFile(beton, 0)

    def sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The heights and widths of these images (N, 2), px."""
        return np.stack([self.beton.heights[ids], self.beton.widths[ids]], 1)

    def cut(
        self,
        crops: Crops,
        side: int,
        pad: int,
        pool: Pool,
        preprocess: Preprocessing = rgb,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """The crops (N, side, side, C) of images with a black border of `pad` px.

        They are cut into `out` (N, side, side, 3) if it is given; pre-processing then returns another array.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        images = np.empty((len(crops), side, side, 3), np.uint8) if out is None else out
        pool.map(lambda part: self._cut_part(crops[part], pad, images[part]), pool.shares(len(crops)))
        return preprocessed(images, preprocess, pool)

    def _cut_part(self, crops: Crops, pad: int, out: NDArray[np.uint8]) -> None:
        room, side = scratch(self.scratch_pixels), out.shape[1]
        if crops.are_plain(side):
            self._cut_squares(crops.where, pad, room, out)
            return
        for k, span in enumerate(crops.spans):
            square = np.empty((1, span, span, 3), np.uint8)
            self._cut_squares(crops.where[k : k + 1], pad, room, square)
            out[k] = finish(square[0], int(crops.windows[k]), float(crops.angles[k]), side)

    def _cut_squares(self, where: NDArray[np.int64], pad: int, room: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        done = cut(*self.beton.tables, where, pad, room, out)
        if done < len(where):
            raise self._undecodable(int(where[done, 0]))

    def _undecodable(self, image: int) -> RaysweepError:
        path = self.beton.path
        return RaysweepError(
            f"{path}: image {image} cannot be decoded; the file is damaged. Compare it with its manifest: "
            f"`{command('raysweep', 'data', 'check', path.parent)}`."
        )


class Pool:
    """Threads that divide the images of a batch among them; with one thread the caller does the work."""

    def __init__(self, threads: int) -> None:
        """Start `threads` threads, at least 1."""
        if threads < 1:
            raise RaysweepError(f"cannot load images with {threads} threads: use at least 1.")
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads, "raysweep-images") if threads > 1 else None

    def shares(self, count: int) -> list[slice]:
        """The range of images for each thread; no range is empty."""
        ends = np.linspace(0, count, self.threads + 1).astype(int).tolist()
        return [slice(first, last) for first, last in pairwise(ends) if first < last]

    def map(self, work: Callable[[slice], T], parts: Sequence[slice]) -> list[T]:
        """Apply `work` to each part; returns the results, or raises the first error when all have ended."""
        if self._executor is None:
            return list(map(work, parts))
        return list(self._executor.map(work, parts))


def preprocessed(images: NDArray[np.uint8], preprocess: Preprocessing, pool: Pool) -> NDArray[np.uint8]:
    """The images (N, side, side, 3) after pre-processing, which the threads share."""
    if preprocess is rgb:
        return images
    return np.concatenate(pool.map(lambda part: preprocess(images[part]), pool.shares(len(images))))
