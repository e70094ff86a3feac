"""Decodes a picture once, then resizes and encodes it for each size to store. Runs in a worker."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import JPG, RAW
from raysweep.data.opencv import Pixels, opencv
from raysweep.data.randomness import bits, key, share
from raysweep.safe import printable
from raysweep.write.decode import BadImageError, to_rgb, upright
from raysweep.write.forms import Form
from raysweep.write.sources.base import Picture, Read
from raysweep.write.work import Work

STORED = np.dtype([("size", "<u4"), ("crc", "<u4"), ("height", "<u2"), ("width", "<u2"), ("mode", "u1")])
"""One image in one size: number of stored bytes and their CRC-32, sides in px, and JPG or RAW."""


def row_type(forms: int) -> np.dtype[Any]:
    """One image in all its sizes. A size of 0 means that it cannot be stored."""
    return np.dtype([("index", "<u4"), ("stored", STORED, (forms,))])


@dataclass(frozen=True)
class Encoded:
    """Some images: a row for each, their stored bytes joined for each form, and the reasons of those not stored."""

    rows: NDArray[Any]
    data: list[bytes]
    reasons: dict[int, str]
    seconds: float
    """Wall time of one worker."""


def encode_all(read: Read, indices: Sequence[int], forms: Sequence[Form]) -> Encoded:
    """Encode the pictures with these numbers; one that cannot be stored in all forms is stored in none."""
    start = time.perf_counter()
    rows = np.zeros(len(indices), row_type(len(forms)))
    data: list[list[bytes]] = [[] for _ in forms]
    reasons = {}
    for row, index in zip(rows, indices, strict=True):
        row["index"] = index
        try:
            stored = encode(read(index), index, forms)
        except (BadImageError, OSError) as error:
            reasons[index] = printable(getattr(error, "strerror", None) or str(error))
            continue
        for k, (entry, content) in enumerate(stored):
            row["stored"][k] = entry
            data[k].append(content)
    return Encoded(rows, [b"".join(part) for part in data], reasons, time.perf_counter() - start)


@dataclass(frozen=True)
class Task(Work[Encoded]):
    """Images of one split to encode."""

    forms: tuple[Form, ...]

    def do(self, read: Read) -> Encoded:
        """Encode them."""
        return encode_all(read, self.indices, self.forms)

    def lost(self, reason: str) -> Encoded:
        """One image that cannot be stored."""
        return not_stored(self.indices[0], len(self.forms), reason)

    def joined(self, parts: Sequence[Encoded]) -> Encoded:
        """The parts in their order."""
        return joined(parts)


def not_stored(index: int, forms: int, reason: str) -> Encoded:
    """One image that cannot be stored."""
    rows = np.zeros(1, row_type(forms))
    rows["index"] = index
    return Encoded(rows, [b""] * forms, {index: reason}, 0.0)


def joined(parts: Sequence[Encoded]) -> Encoded:
    """Concatenate parts, at least one."""
    return Encoded(
        np.concatenate([part.rows for part in parts]),
        [b"".join(data) for data in zip(*(part.data for part in parts), strict=True)],
        {index: reason for part in parts for index, reason in part.reasons.items()},
        sum(part.seconds for part in parts),
    )


def encode(picture: Picture, index: int, forms: Sequence[Form]) -> list[tuple[tuple[int, ...], bytes]]:
    """Encode a picture in each form; returns the fields of `STORED` and the bytes.

    Raises:
        BadImageError: it cannot be stored.
    """
    pixels = upright(picture)
    stored = []
    for form in forms:
        resized = to_rgb(pixels, form.side, form.rescale)
        raw = is_raw(form, index)
        content = resized.tobytes() if raw else jpeg(resized, form.quality)
        entry = (len(content), zlib.crc32(content), *resized.shape[:2], RAW if raw else JPG)
        stored.append((entry, content))
    return stored


def is_raw(form: Form, index: int) -> bool:
    """Whether the image with this number is stored as pixels; with mixed, a hash of the number decides."""
    if form.encoding != "mixed":
        return form.encoding == "raw"
    return bool(share(bits(key("stored as pixels"), np.array([index])))[0] < form.raw_share)


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """The pixels as a JPEG file, byte for byte the same as from FFCV's own RGBImageField."""
    cv2 = opencv()
    done, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadImageError("OpenCV cannot encode it as JPEG")
    return bytes(content.data)
