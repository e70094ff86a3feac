"""Training and test batches from FFCV files. A batch is a pure function of (seed, epoch, index).

FFCV's own loader can be neither addressed nor resumed, draws crops from per-thread state and sets thread counts of the
whole process; this one only reads its files, with its decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import RAW, Beton, read_beton
from raysweep.data.kernels import cut, scratch
from raysweep.data.manifest import Manifest, check_size
from raysweep.data.prefetch import Prefetch, prefetch
from raysweep.data.randomness import below, bits, epoch_order, key, subset
from raysweep.errors import RaysweepError

__all__ = ["Batch", "ImageFile", "Prefetch", "TestStream", "TrainStream", "prefetch", "subset"]


@dataclass(frozen=True)
class Batch:
    """Images (N, side, side, 3) red, green, blue; class numbers (N,); positions of the images in their file (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class ImageFile:
    """The images of one split, opened for reading."""

    beton: Beton
    scratch_pixels: int
    """Room to decode any of them; none where they are stored as pixels."""

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, split: str) -> ImageFile:
        """Open the file of `train` or `test`.

        Raises:
            RaysweepError: the file is not there, damaged, or not the one the manifest describes.
        """
        entry = manifest.splits[split]
        check_size(folder, entry)
        beton = read_beton(Path(folder) / entry.file)
        counts = np.unique(beton.labels, return_counts=True)
        expected = {label: count for label, count in enumerate(entry.class_counts) if count}
        if dict(zip(*(part.tolist() for part in counts), strict=True)) != expected:
            raise RaysweepError(
                f"{beton.path} has other labels than its manifest says ({len(beton):,} images, {entry.images:,} by the "
                f"manifest). Write it again with `raysweep data write SOURCE {folder} --overwrite`."
            )
        encoded = beton.modes != RAW
        return cls(beton, int((beton.heights * beton.widths)[encoded].max(initial=0)))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class number of every image."""
        return self.beton.labels

    @property
    def num_images(self) -> int:
        """How many there are."""
        return len(self.beton)

    def sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N, 2): height and width of these images, px."""
        return np.stack([self.beton.heights[ids], self.beton.widths[ids]], 1)

    def cut(self, where: NDArray[np.int64], side: int, pad: int, pool: Pool) -> Batch:
        """The crops that `where` names, see `kernels.cut`.

        Raises:
            RaysweepError: an image cannot be decoded; names it.
        """
        images = np.empty((len(where), side, side, 3), np.uint8)
        parts = [slice(*ends) for ends in pool.shares(len(where))]
        pool.map(lambda part: self._cut_part(where[part], pad, images[part]), parts)
        return Batch(images, self.labels[where[:, 0]], where[:, 0].copy())

    def _cut_part(self, where: NDArray[np.int64], pad: int, out: NDArray[np.uint8]) -> None:
        b = self.beton
        room = scratch(self.scratch_pixels)
        done = cut(b.store, b.starts, b.sizes, b.modes, b.heights, b.widths, where, pad, room, out)
        if done < len(where):
            raise RaysweepError(
                f"{b.path}: image {where[done, 0]} cannot be decoded; the file has been damaged. Compare it with its "
                f"manifest: `raysweep data check {b.path.parent}`."
            )


class Pool:
    """Threads that share the images of a batch; with one the caller does the work."""

    def __init__(self, threads: int) -> None:
        """`threads` at least 1."""
        if threads < 1:
            raise RaysweepError(f"{threads} threads cannot load images: use 1 or more.")
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads, "raysweep-images") if threads > 1 else None

    def shares(self, count: int) -> list[tuple[int, int]]:
        """First and last + 1 of each thread's images."""
        ends = np.linspace(0, count, self.threads + 1).astype(int).tolist()
        return list(pairwise(ends))

    def map(self, work: Callable[[slice], None], parts: Sequence[slice]) -> None:
        """Do the parts; the first error of any of them is raised when all have ended."""
        if self._executor is None:
            list(map(work, parts))
        else:
            list(self._executor.map(work, parts))


class TrainStream:
    """Endless training batches with random crops and mirrors.

    Position p of the stream is image p % n of epoch p // n, and batch k has positions k * batch_size to
    (k + 1) * batch_size - 1: every image once per epoch, nothing dropped, batches run on over the end of an epoch.
    """

    def __init__(
        self,
        file: ImageFile,
        *,
        side: int,
        batch_size: int,
        seed: int,
        mirror: bool = True,
        pad: int = 0,
        indices: NDArray[np.int64] | None = None,
        threads: int = 1,
    ) -> None:
        """Crops of `side` px from images with a black border of `pad` px; `indices` are the images used (none: all).

        Raises:
            RaysweepError: images smaller than the crop, or indices that are not images of the file.
        """
        _check_batch_size(batch_size)
        self.file = file
        self.indices = np.arange(file.num_images) if indices is None else _checked(indices, file.num_images)
        _check_room(file, self.indices, side, pad)
        self.side, self.batch_size, self.seed, self.mirror, self.pad = side, batch_size, seed, mirror, pad
        self._pool = Pool(threads)

    @property
    def num_images(self) -> int:
        """Images in an epoch."""
        return len(self.indices)

    def batch(self, iteration: int, *, rows: slice | None = None) -> Batch:
        """Batch number `iteration`, or those rows of it: a rank's part.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        if iteration < 0:
            raise IndexError(f"batch {iteration}")
        positions = np.arange(iteration * self.batch_size, (iteration + 1) * self.batch_size)[rows or slice(None)]
        parts = [
            self._epoch_part(int(epoch), positions[positions // self.num_images == epoch] % self.num_images)
            for epoch in np.unique(positions // self.num_images)
        ]
        where = np.concatenate([np.empty((0, 4), np.int64), *parts])
        return self.file.cut(where, self.side, self.pad, self._pool)

    def _epoch_part(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        ids = self.indices[epoch_order(self.seed, epoch, self.num_images)[places]]
        # By image, not by position: the same crop whatever subset the image is in.
        random = bits(key("crop", self.seed, epoch), ids)
        spare = self.file.sizes(ids) + 2 * self.pad - self.side + 1
        mirrored = (random >> np.uint64(63)).astype(np.int64) * self.mirror
        return np.stack([ids, below(spare[:, 0], random, 0), below(spare[:, 1], random, 24), mirrored], 1)


class TestStream:
    """The centre crop of every image, once, in the order of the file; the last batch may be short."""

    __test__ = False  # the name would make pytest collect it

    def __init__(self, file: ImageFile, *, side: int, batch_size: int, threads: int = 1) -> None:
        """Crops of `side` px.

        Raises:
            RaysweepError: images smaller than the crop.
        """
        _check_batch_size(batch_size)
        _check_room(file, np.arange(file.num_images), side, 0)
        self.file, self.side, self.batch_size = file, side, batch_size
        self._pool = Pool(threads)

    def __len__(self) -> int:
        return -(-self.file.num_images // self.batch_size)

    def batch(self, k: int) -> Batch:
        """Batch number k.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        if not 0 <= k < len(self):
            raise IndexError(f"batch {k} of {len(self)}")
        ids = np.arange(k * self.batch_size, min((k + 1) * self.batch_size, self.file.num_images))
        corner = (self.file.sizes(ids) - self.side) // 2
        return self.file.cut(np.column_stack([ids, corner, np.zeros_like(ids)]), self.side, 0, self._pool)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise RaysweepError(f"the batch size is {batch_size}: it must be at least 1.")


def _checked(indices: NDArray[Any], count: int) -> NDArray[np.int64]:
    indices = np.asarray(indices)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer) or not len(indices):
        raise RaysweepError(f"indices must be a list of image numbers; got {indices.dtype} of shape {indices.shape}.")
    wrong = indices[(indices < 0) | (indices >= count)]
    if len(wrong):
        raise RaysweepError(f"{len(wrong)} indices are outside 0 to {count - 1}, the first is {wrong[0]}.")
    if len(np.unique(indices)) < len(indices):
        raise RaysweepError(
            f"{len(indices) - len(np.unique(indices))} indices occur twice: an epoch has every image once."
        )
    return indices.astype(np.int64)


def _check_room(file: ImageFile, ids: NDArray[np.int64], side: int, pad: int) -> None:
    sizes = file.sizes(ids)
    small = (sizes + 2 * pad < side).any(1)
    if side < 1 or small.any():
        height, width = sizes[small.argmax()]
        border = f" with a border of {pad} px" if pad else ""
        raise RaysweepError(
            f"{file.beton.path}: image side {side} is larger than stored: {small.sum():,} of {len(ids):,} images"
            f"{border} are smaller, for instance {width}x{height} px. Lower data.side, or write with a larger --side."
        )
