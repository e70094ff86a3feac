"""Training and test batches from FFCV files. A batch is a pure function of (seed, epoch, index).

FFCV's own loader has no random access, cannot resume, draws crops from per-thread state and sets the thread counts of
the whole process; this one uses only its files and its decoder.

An image that cannot be decoded ends the trial with an error: without it, or with another image in its place, the trial
would not match its recipe. The other trials of a sweep continue.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.crops import Crops, joined, spans
from raysweep.data.image_file import ImageFile, Pool
from raysweep.data.preprocess import Preprocessing, rgb
from raysweep.data.randomness import below, bits, epoch_order, key, share
from raysweep.data.windows import window_side
from raysweep.errors import RaysweepError


@dataclass(frozen=True)
class Batch:
    """Images (N, side, side, C); class numbers (N,); positions of the images in their file (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


Take = Callable[[slice, NDArray[np.uint8]], None]
"""A function of rows of a batch and their images (n, side, side, C), which it copies or converts before it returns."""


class ImageStream(ABC):
    """Images at numbered positions; batch k consists of positions k * batch_size to (k + 1) * batch_size - 1."""

    end: int | None = None
    """The number of positions; none if the stream is endless."""
    scale_field = "data.scales"

    def __init__(
        self,
        file: ImageFile,
        *,
        side: int,
        batch_size: int,
        pad: int = 0,
        indices: NDArray[np.int64] | None = None,
        labels: NDArray[np.int64] | None = None,
        scales: Sequence[float] = (1.0,),
        rotation: float = 0.0,
        preprocess: Preprocessing = rgb,
        threads: int = 1,
    ) -> None:
        """Cut crops of `side` px from images with a black border of `pad` px.

        Args:
            file: the images.
            side: side of the crops in px.
            batch_size: number of images in a batch.
            pad: width of the border in px.
            indices: the images to use; none uses all.
            labels: class numbers for the whole file; none uses the file's.
            scales: the scales of images, as in the recipe.
            rotation: largest angle in degrees, as in the recipe.
            preprocess: applied to the crops.
            threads: number of threads that decode and cut.

        Raises:
            RaysweepError: images are smaller than the crop, or indices are not those of images in the file.
        """
        if batch_size < 1:
            raise RaysweepError(f"the batch size is {batch_size}: use at least 1.")
        self.file, self.labels = file, file.labels if labels is None else labels
        self.side, self.pad, self.batch_size, self.preprocess = side, pad, batch_size, preprocess
        self.pool = Pool(threads)
        self.indices = _used(indices, file)
        _check_room(file, self.indices, side, pad, min(scales), self.scale_field)
        self.windows, self.rotation = np.array([window_side(side, scale) for scale in scales]), rotation

    @property
    def num_images(self) -> int:
        """The number of images in an epoch."""
        return len(self.indices)

    @property
    def resamples(self) -> bool:
        """Whether any crop is rotated or resized."""
        return bool((self.windows != self.side).any() or self.rotation)

    @abstractmethod
    def crops(self, positions: NDArray[np.int64]) -> Crops:
        """The crops at these positions, which increase and are not empty."""

    @abstractmethod
    def pixels_key(self) -> tuple[object, ...]:
        """Everything except the file that determines which pixels are cut for a position: equal keys, equal pixels.

        It excludes what is applied after cutting (labels, pre-processing) and what changes nothing (batch size).
        """

    def positions(self, number: int) -> NDArray[np.int64]:
        """The positions of a batch; the last batch may be short.

        Raises:
            IndexError: the stream has no batch of this number.
        """
        first, last = number * self.batch_size, (number + 1) * self.batch_size
        if number < 0 or (self.end is not None and first >= self.end):
            raise IndexError(f"batch {number}")
        return np.arange(first, last if self.end is None else min(last, self.end))

    def batch(self, number: int, *, rows: slice | None = None) -> Batch:
        """Batch `number`, or the given rows of it: one rank's part.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: the stream has no batch of this number.
        """
        crops = self.crops(self.positions(number)[rows or slice(None)])
        images = self.file.cut(crops, self.side, self.pad, self.pool, self.preprocess)
        return Batch(images, self.labels[crops.ids], crops.ids.copy())

    def deliver(
        self, number: int, take: Take, *, rows: slice | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pass the images of a batch, or of the given rows of it, to `take`; returns their labels and indices.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: the stream has no batch of this number.
        """
        batch = self.batch(number, rows=rows)
        take(slice(len(batch.labels)), batch.images)
        return batch.labels, batch.indices

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image in a batch: (side, side, C)."""
        return self.preprocess(np.zeros((1, self.side, self.side, 3), np.uint8)).shape[1:]


class TrainStream(ImageStream):
    """Endless training batches with random crops, mirroring, scales and rotations.

    Position p of the stream is image p % n of epoch p // n: every epoch contains every image once, no image is dropped,
    and a batch may span the end of an epoch.
    """

    def __init__(self, file: ImageFile, *, seed: int, mirror: bool = True, **options: Any) -> None:
        """Mirror each image with a probability of one half, if `mirror`; `seed` determines all that is random.

        A rotated crop lies inside its image if the image is large enough; otherwise its corners are black.
        For other arguments and errors see `ImageStream`.
        """
        super().__init__(file, **options)
        self.seed, self.mirror = seed, mirror

    def crops(self, positions: NDArray[np.int64]) -> Crops:
        """See `ImageStream`; the positions may span several epochs."""
        epochs = positions // self.num_images
        return joined(
            [self._epoch_part(int(epoch), positions[epochs == epoch] % self.num_images) for epoch in np.unique(epochs)]
        )

    def pixels_key(self) -> tuple[object, ...]:
        """See `ImageStream`."""
        windows = tuple(self.windows.tolist())
        return ("train", self.side, self.pad, self.seed, self.mirror, _digest(self.indices), windows, self.rotation)

    def _epoch_part(self, epoch: int, places: NDArray[np.int64]) -> Crops:
        ids = self.indices[epoch_order(self.seed, epoch, self.num_images)[places]]
        # By image, not by position: the crop of an image does not depend on the subset it is in.
        random = bits(key("crop", self.seed, epoch), ids)
        mirrored = (random >> np.uint64(63)).astype(np.int64) * self.mirror
        windows, angles = self._windows(epoch, ids), self._angles(epoch, ids)
        spare = self.file.sizes(ids) + 2 * self.pad - spans(windows, angles)[:, None] + 1
        corner = (_corner(spare[:, axis], random, 24 * axis) for axis in (0, 1))
        # The image is rotated first and mirrored second, but the pixels that are cut are mirrored already.
        return Crops(np.stack([ids, *corner, mirrored], 1), windows, angles * (1 - 2 * mirrored))

    def _windows(self, epoch: int, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        drawn = below(np.full(len(ids), len(self.windows)), bits(key("scale", self.seed, epoch), ids), 0)
        return self.windows[drawn]

    def _angles(self, epoch: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.rotation * share(bits(key("rotation", self.seed, epoch), ids))


class TestStream(ImageStream):
    """The centre crop of each image once, in the order of the file; the last batch may be short."""

    __test__ = False  # the name would make pytest collect it
    scale_field = "data.test_scale"

    def __init__(self, file: ImageFile, *, scale: float = 1.0, **options: Any) -> None:
        """Cut crops of images at one scale; for other arguments and errors see `ImageStream`."""
        super().__init__(file, scales=[scale], **options)
        self.end = self.num_images

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    def crops(self, positions: NDArray[np.int64]) -> Crops:
        """See `ImageStream`."""
        ids, windows = self.indices[positions], np.repeat(self.windows, len(positions))
        corner = (self.file.sizes(ids) - windows[:, None]) // 2
        return Crops(np.column_stack([ids, corner, np.zeros_like(ids)]), windows, np.zeros(len(ids)))

    def pixels_key(self) -> tuple[object, ...]:
        """See `ImageStream`."""
        return ("test", self.side, int(self.windows[0]), _digest(self.indices))


def _corner(spare: NDArray[np.int64], random: NDArray[np.uint64], shift: int) -> NDArray[np.int64]:
    """The first row or column of each crop, uniform over the `spare` possible ones; centred if there is none."""
    return np.where(spare > 0, below(np.maximum(spare, 1), random, shift), (spare - 1) // 2)


def _digest(indices: NDArray[np.int64]) -> str:
    return hashlib.blake2b(indices.tobytes()).hexdigest()


def _used(indices: NDArray[Any] | None, file: ImageFile) -> NDArray[np.int64]:
    count = file.num_images
    if indices is None:
        return np.arange(count)
    indices = np.asarray(indices)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer) or not len(indices):
        raise RaysweepError(
            f"indices must be a non-empty list of integers, not {indices.dtype} of shape {indices.shape}."
        )
    wrong = indices[(indices < 0) | (indices >= count)]
    if len(wrong):
        raise RaysweepError(f"{len(wrong)} indices are not between 0 and {count - 1}; the first is {wrong[0]}.")
    if len(np.unique(indices)) < len(indices):
        raise RaysweepError(f"{len(indices) - len(np.unique(indices))} indices are repeated: list each image once.")
    return indices.astype(np.int64)


def _check_room(file: ImageFile, ids: NDArray[np.int64], side: int, pad: int, scale: float, field: str) -> None:
    sizes, window = file.sizes(ids), window_side(side, scale)
    small = (sizes + 2 * pad < window).any(1)
    if side < 1 or small.any():
        height, width = sizes[small.argmax()]
        border = f" with a border of {pad} px" if pad else ""
        scaled = "" if window == side else f" at scale {scale:g} ({field}), {window} px,"
        raise RaysweepError(
            f"{file.beton.path}: crops of side {side}{scaled} are larger than {small.sum():,} of {len(ids):,} "
            f"images{border}, for example one of {width}x{height} px. Lower data.side"
            f"{f', raise {field}' if scaled else ''}, or write the images with a larger --side."
        )
