"""Training and test batches from FFCV files. A batch is a pure function of (seed, epoch, index).

FFCV's own loader can be neither addressed nor resumed, draws crops from per-thread state and sets thread counts of the
whole process; this one only reads its files, with its decoder.

An image that cannot be decoded is named and ends the trial: without it, or with another one in its place, the trial
would not be what its recipe says. The other trials of a sweep go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.crops import Crops, joined, spans
from raysweep.data.image_file import ImageFile, Pool
from raysweep.data.prefetch import Prefetch, prefetch
from raysweep.data.preprocess import Preprocessing, rgb
from raysweep.data.randomness import below, bits, epoch_order, key, share, subset, wrong_labels
from raysweep.data.windows import window_side
from raysweep.errors import RaysweepError

__all__ = ["Batch", "ImageFile", "Prefetch", "TestStream", "TrainStream", "prefetch", "subset", "wrong_labels"]


@dataclass(frozen=True)
class Batch:
    """Images (N, side, side, C); class numbers (N,); positions of the images in their file (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


class TrainStream:
    """Endless training batches with random crops and mirrors, scales and rotations.

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
        labels: NDArray[np.int64] | None = None,
        scales: Sequence[float] = (1.0,),
        rotation: float = 0.0,
        preprocess: Preprocessing = rgb,
        threads: int = 1,
    ) -> None:
        """Crops of `side` px from images with a black border of `pad` px; `indices` are the images used (none: all).

        `labels` are for the images of the whole file (none: the file's). `scales`: one is drawn for each image, and
        `rotation`, degrees: as in the recipe. A turned crop lies inside the image where there is room for it; where
        there is none its corners are black.

        Raises:
            RaysweepError: images smaller than the crop, or indices that are not images of the file.
        """
        _check_batch_size(batch_size)
        self.file = file
        self.indices = np.arange(file.num_images) if indices is None else _checked(indices, file.num_images)
        self.labels = file.labels if labels is None else labels
        _check_room(file, self.indices, side, pad, min(scales), "data.scales")
        self.side, self.batch_size, self.seed, self.mirror, self.pad = side, batch_size, seed, mirror, pad
        self.windows = np.array([window_side(side, scale) for scale in scales])
        self.rotation, self.preprocess = rotation, preprocess
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
        crops = self.crops(iteration, rows)
        images = self.file.cut(crops, self.side, self.pad, self._pool, self.preprocess)
        return Batch(images, self.labels[crops.ids], crops.ids.copy())

    def crops(self, iteration: int, rows: slice | None = None) -> Crops:
        """What batch number `iteration`, or those rows of it, is made of."""
        if iteration < 0:
            raise IndexError(f"batch {iteration}")
        positions = np.arange(iteration * self.batch_size, (iteration + 1) * self.batch_size)[rows or slice(None)]
        return joined(
            [
                self._epoch_part(int(epoch), positions[positions // self.num_images == epoch] % self.num_images)
                for epoch in np.unique(positions // self.num_images)
            ]
        )

    @property
    def cuts_as_stored(self) -> bool:
        """Whether no crop of any batch is turned or resized."""
        return not self.rotation and bool((self.windows == self.side).all())

    def _epoch_part(self, epoch: int, places: NDArray[np.int64]) -> Crops:
        ids = self.indices[epoch_order(self.seed, epoch, self.num_images)[places]]
        # By image, not by position: the same crop whatever subset the image is in.
        random = bits(key("crop", self.seed, epoch), ids)
        mirrored = (random >> np.uint64(63)).astype(np.int64) * self.mirror
        windows, angles = self._windows(epoch, ids), self._angles(epoch, ids)
        spare = self.file.sizes(ids) + 2 * self.pad - spans(windows, angles)[:, None] + 1
        corner = (_corner(spare[:, axis], random, 24 * axis) for axis in (0, 1))
        # The image is turned and then mirrored; what is cut is mirrored already.
        return Crops(np.stack([ids, *corner, mirrored], 1), windows, angles * (1 - 2 * mirrored))

    def _windows(self, epoch: int, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        drawn = below(np.full(len(ids), len(self.windows)), bits(key("scale", self.seed, epoch), ids), 0)
        return self.windows[drawn]

    def _angles(self, epoch: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.rotation * share(bits(key("rotation", self.seed, epoch), ids))


class TestStream:
    """The centre crop of every image, once, in the order of the file; the last batch may be short."""

    __test__ = False  # the name would make pytest collect it

    def __init__(
        self,
        file: ImageFile,
        *,
        side: int,
        batch_size: int,
        scale: float = 1.0,
        preprocess: Preprocessing = rgb,
        threads: int = 1,
    ) -> None:
        """Crops of `side` px of the images scaled by `scale`.

        Raises:
            RaysweepError: images smaller than the crop.
        """
        _check_batch_size(batch_size)
        _check_room(file, np.arange(file.num_images), side, 0, scale, "data.test_scale")
        self.file, self.side, self.batch_size, self.preprocess = file, side, batch_size, preprocess
        self.pad = 0
        self.window = window_side(side, scale)
        self._pool = Pool(threads)

    def __len__(self) -> int:
        return -(-self.file.num_images // self.batch_size)

    def batch(self, k: int) -> Batch:
        """Batch number k.

        Raises:
            RaysweepError: an image cannot be decoded.
        """
        crops = self.crops(k)
        images = self.file.cut(crops, self.side, self.pad, self._pool, self.preprocess)
        return Batch(images, self.labels[crops.ids], crops.ids.copy())

    def crops(self, k: int, rows: slice | None = None) -> Crops:
        """What batch number k, or those rows of it, is made of."""
        if not 0 <= k < len(self):
            raise IndexError(f"batch {k} of {len(self)}")
        last = min((k + 1) * self.batch_size, self.file.num_images)
        ids = np.arange(k * self.batch_size, last)[rows or slice(None)]
        corner = (self.file.sizes(ids) - self.window) // 2
        where = np.column_stack([ids, corner, np.zeros_like(ids)])
        return Crops(where, np.full(len(ids), self.window), np.zeros(len(ids)))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class number of every image of the file."""
        return self.file.labels

    @property
    def cuts_as_stored(self) -> bool:
        """Whether no crop is resized."""
        return self.window == self.side


def _corner(spare: NDArray[np.int64], random: NDArray[np.uint64], shift: int) -> NDArray[np.int64]:
    """First row or column, uniform over the `spare` places there are; centred where there is none."""
    return np.where(spare > 0, below(np.maximum(spare, 1), random, shift), (spare - 1) // 2)


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


def _check_room(file: ImageFile, ids: NDArray[np.int64], side: int, pad: int, scale: float, field: str) -> None:
    sizes, window = file.sizes(ids), window_side(side, scale)
    small = (sizes + 2 * pad < window).any(1)
    if side < 1 or small.any():
        height, width = sizes[small.argmax()]
        border = f" with a border of {pad} px" if pad else ""
        scaled = "" if window == side else f" at scale {scale:g} ({field}), {window} px,"
        raise RaysweepError(
            f"{file.beton.path}: image side {side}{scaled} is larger than stored: {small.sum():,} of {len(ids):,} "
            f"images{border} are smaller, for instance {width}x{height} px. Lower data.side"
            f"{f', raise {field}' if scaled else ''}, or write with a larger --side."
        )
