"""Looks at images without storing them: sizes, colour, hashes by which the same picture is found again, thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from raysweep.data.opencv import Pixels
from raysweep.safe import printable
from raysweep.write.decode import BadImageError, upright
from raysweep.write.sources.base import Read
from raysweep.write.work import Work

THUMBNAIL = 64
"""Side of a thumbnail, px."""
SEEN = np.dtype([("index", "<u4"), ("pixels", "<u8"), ("height", "<u4"), ("width", "<u4"), ("is_grey", "?")])
"""One image: a hash of its shape and upright RGB pixels, its sides in px, and whether it has no colour."""


@dataclass(frozen=True)
class Looked:
    """A row of `SEEN` for each image that can be decoded, the reasons of the others, and thumbnails."""

    rows: NDArray[Any]
    reasons: dict[int, str]
    thumbnails: dict[int, Pixels]


@dataclass(frozen=True)
class Look(Work[Looked]):
    """Images of one split to look at."""

    shown: frozenset[int] = frozenset()
    """Those of which a thumbnail is made."""

    def do(self, read: Read) -> Looked:
        """Decode each image once."""
        rows, reasons, thumbnails = [], {}, {}
        for index in self.indices:
            try:
                pixels = upright(read(index))
            except (BadImageError, OSError) as error:
                reasons[index] = printable(getattr(error, "strerror", None) or str(error))
                continue
            rows.append((index, _hash(pixels), *pixels.shape[:2], _is_grey(pixels)))
            if index in self.shown:
                thumbnails[index] = thumbnail(pixels)
        return Looked(np.array(rows, SEEN), reasons, thumbnails)

    def lost(self, reason: str) -> Looked:
        """One image that cannot be decoded."""
        return Looked(np.zeros(0, SEEN), {self.indices[0]: reason}, {})

    def joined(self, parts: Sequence[Looked]) -> Looked:
        """The parts in their order."""
        return joined(parts)


def joined(parts: Sequence[Looked]) -> Looked:
    """Concatenate parts."""
    return Looked(
        np.concatenate([np.zeros(0, SEEN), *(part.rows for part in parts)]),
        {index: reason for part in parts for index, reason in part.reasons.items()},
        {index: pixels for part in parts for index, pixels in part.thumbnails.items()},
    )


def _hash(pixels: Pixels) -> int:
    found = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=8)
    found.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(found.digest(), "little")


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels[..., :2] == pixels[..., 1:]).all())


def thumbnail(pixels: Pixels) -> Pixels:
    """The whole picture, at most `THUMBNAIL` px on its longer side."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)
