"""Images in memory: NumPy arrays, torch tensors, PIL images, and torch data sets."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Picture, Read, Samples, Source
from raysweep.write.sources.class_numbers import number_classes, read_labels

CHANNELS = (1, 3, 4)


class MemorySamples(Samples):
    """The images of one split: a sequence of whatever `as_picture` takes."""

    def __init__(self, images: Any, labels: NDArray[np.int64], split: str) -> None:
        """`images` has N items, by number; `labels` (N,); `split` is used in names."""
        super().__init__(labels)
        self._images = images
        self._split = split

    def name(self, index: int) -> str:
        """Split and number of the image."""
        return f"{self._split} image {index}"

    def picture(self, index: int) -> Picture:
        """The pixels, or the encoded file."""
        return as_picture(self._images[index], self.name(index))

    def fetch(self, indices: Sequence[int]) -> Read:
        """The pixels of these images."""
        return {index: self.picture(index) for index in indices}.__getitem__


@dataclass(frozen=True)
class Inputs:
    """The images (without labels) of a torch data set, whose items are (image, label)."""

    dataset: Any

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][0]


class MemorySource(Source):
    """A set from memory; its spec has a digest of the images and labels, so that another set never continues it."""

    def __init__(self, name: str, splits: Mapping[str, tuple[Any, Any]], classes: Sequence[str] | None = None) -> None:
        """`splits` are images and labels of `train` and perhaps `test`; labels None takes both from a torch data set.

        Raises:
            RaysweepError: images or labels that cannot be used; names the split and what is wrong.
        """
        pairs = {split: _pair(images, labels, split) for split, (images, labels) in splits.items()}
        columns = [_column(labels, split) for split, (_, labels) in pairs.items()]
        if len({column.type for column in columns}) > 1:
            raise RaysweepError(
                "the labels of one split are numbers and those of the other names: use one or the other."
            )
        joined = pa.chunked_array(columns)
        numbers, self.classes = number_classes(joined, tuple(classes or ()), f"the labels of {name}")
        parts = np.split(numbers, np.cumsum([len(column) for column in columns])[:-1])
        self.splits = {
            split: MemorySamples(images, part, split)
            for (split, (images, _)), part in zip(pairs.items(), parts, strict=True)
        }
        self.name, self.spec = name, f"{name}, in memory, digest {_digest(self.splits)}"
        self.fetched_bytes = _mean_bytes(self.splits["train"])


def _pair(images: Any, labels: Any, split: str) -> tuple[Any, Any]:
    if labels is None:
        images, labels = Inputs(images), [images[index][1] for index in range(len(images))]
    if len(images) != len(labels):
        raise RaysweepError(f"{split} has {len(images):,} images and {len(labels):,} labels: each image needs one.")
    if not len(images):
        raise RaysweepError(f"{split} has no images.")
    return images, labels


def _column(labels: Any, split: str) -> Any:
    values = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    if values.ndim != 1:
        raise RaysweepError(
            f"the {split} labels have shape {values.shape}: they must be one class number or name for each image. Of "
            "one-hot labels, give argmax(axis=1)."
        )
    try:
        return read_labels(pa.array(values.tolist()), f"{split} labels")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RaysweepError(f"the {split} labels must be whole numbers or names: {error}.") from None


def _digest(splits: Mapping[str, Samples]) -> str:
    found = hashlib.blake2b(digest_size=6)
    for samples in splits.values():
        found.update(samples.labels.tobytes())
        for index in range(len(samples)):
            picture = samples.picture(index)
            found.update(repr(getattr(picture, "shape", "")).encode())
            found.update(picture if isinstance(picture, bytes) else np.ascontiguousarray(picture).data)
    return found.hexdigest()


def _mean_bytes(samples: Samples) -> float:
    picture = samples.picture(0)
    return float(len(picture) if isinstance(picture, bytes) else picture.nbytes)


def as_picture(image: Any, name: str = "the image") -> Picture:
    """An image file as bytes, or pixels (H, W[, C]): tensors are (C, H, W), and arrays too if only this makes sense.

    Raises:
        RaysweepError: another shape or type, or floating-point pixels outside of 0 to 1.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        out = io.BytesIO()
        image.save(out, "PNG" if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") else "TIFF")
        return out.getvalue()
    is_tensor = hasattr(image, "detach")
    pixels = np.asarray(image.detach().cpu() if is_tensor else image)
    if pixels.ndim == 3 and pixels.shape[0] in CHANNELS and (is_tensor or pixels.shape[2] not in CHANNELS):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in CHANNELS):
        raise RaysweepError(
            f"{name} has the shape {np.shape(image)}: use (H, W), (H, W, C), or (C, H, W) of tensors, with C one of "
            f"{', '.join(map(str, CHANNELS))}."
        )
    return _eight_bits(pixels, name)


def _eight_bits(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    least, most = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if np.issubdtype(pixels.dtype, np.floating) and 0 <= least <= most <= 1:
        return np.asarray(np.rint(pixels * 255), np.uint8)
    if np.issubdtype(pixels.dtype, np.integer) and 0 <= least <= most <= 255:
        return pixels.astype(np.uint8)
    raise RaysweepError(
        f"{name} has pixels of type {pixels.dtype} from {least:g} to {most:g}: use whole numbers from 0 to 255, or "
        "fractions from 0 to 1. Undo a normalisation first; raysweep subtracts the mean itself."
    )
