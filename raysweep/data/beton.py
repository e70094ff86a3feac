"""The layout of FFCV files, version 2: the address, size and label of every image.

FFCV itself trusts its files and crashes on a damaged one; here every value is checked before it is used as an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError, step_after

VERSION = 2
HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page_size", "<u4"), ("images", "<u8"), ("table", "<u8")], align=True
)
FIELD = np.dtype([("type", "u1"), ("name", "u1", 16), ("arguments", "u1", 1024)], align=True)
PLACE = np.dtype([("image", "<u8"), ("start", "<u8"), ("size", "<u8")])
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("start", "<u8")])
ROW = np.dtype([("image", IMAGE), ("label", "<i8")], align=True)
FIELDS = ((2, b"image"), (1, b"label"))
"""FFCV's type numbers of RGBImageField and IntField, and the names of the two fields in our files."""
JPG, RAW = 0, 1
REWRITE = "Write it again with `raysweep data write SOURCE FOLDER --overwrite`."
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Beton:
    """One file: its bytes, mapped into memory, and the address, size, mode, height, width and label of every image."""

    path: Path
    store: Bytes
    starts: Words
    sizes: Words
    modes: Bytes
    heights: Numbers
    widths: Numbers
    labels: Numbers

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tables(self) -> tuple[Bytes, Words, Words, Bytes, Numbers, Numbers]:
        """The arrays that the compiled loops read: the bytes, then the starts, sizes, modes, heights and widths."""
        return self.store, self.starts, self.sizes, self.modes, self.heights, self.widths

    def stored(self, index: int) -> NDArray[np.uint8]:
        """The stored bytes of an image."""
        start = int(self.starts[index])
        return self.store[start : start + int(self.sizes[index])]


def read_beton(path: Path) -> Beton:
    """Map a file into memory and read its tables.

    Raises:
        RaysweepError: the file cannot be read, is no FFCV file of images and labels, or is damaged.
    """
    try:
        store = np.asarray(np.memmap(path, np.uint8, "r"))
    except (OSError, ValueError) as error:
        step = step_after(error, "Check the disk") if isinstance(error, OSError) else REWRITE.rstrip(".")
        raise RaysweepError(f"cannot read {path}: {error}. {step}.") from None
    header = _table(path, store, HEADER, 0, 1, "its header")[0]
    if header["version"] != VERSION or header["fields"] != len(FIELDS):
        raise _foreign(path, f"version {header['version']} and {header['fields']} fields")
    fields = _table(path, store, FIELD, HEADER.itemsize, len(FIELDS), "its fields")
    found = tuple((int(field["type"]), field["name"].tobytes().rstrip(b"\0")) for field in fields)
    if found != FIELDS:
        raise _foreign(path, f"fields {found}")
    rows = _table(path, store, ROW, HEADER.itemsize + fields.nbytes, int(header["images"]), "its image table")
    if not 0 < int(header["table"]) <= len(store):
        raise _damaged(path, "it is incomplete")
    places = (len(store) - int(header["table"])) // PLACE.itemsize
    return _checked(path, store, rows, _table(path, store, PLACE, int(header["table"]), places, "its address table"))


def _table(
    path: Path, store: NDArray[np.uint8], kind: np.dtype[Any], start: int, count: int, what: str
) -> NDArray[Any]:
    end = start + count * kind.itemsize
    if end > len(store):
        raise _damaged(path, f"{what} ends at byte {end:,} of {len(store):,}")
    return store[start:end].view(kind)


def _checked(path: Path, store: NDArray[np.uint8], rows: NDArray[Any], places: NDArray[Any]) -> Beton:
    image = rows["image"]
    sizes = _sizes(path, image["start"], places)
    heights, widths = image["height"].astype(np.int64), image["width"].astype(np.int64)
    starts, modes = image["start"].astype(np.uint64), image["mode"].astype(np.uint8)  # copied: aligned
    # In this order: an end beyond 2**64 would overflow to a small number.
    length = np.uint64(len(store))
    wrong = (starts > length) | (sizes > length) | (starts + sizes > length)
    wrong |= (modes > RAW) | (heights < 1) | (widths < 1)
    wrong |= (modes == RAW) & (sizes != (heights * widths * 3).astype(np.uint64))
    if wrong.any():
        raise _damaged(
            path, f"its entries for {int(wrong.sum()):,} images are invalid, the first is image {int(wrong.argmax())}"
        )
    return Beton(path, store, starts, sizes, modes, heights, widths, np.ascontiguousarray(rows["label"]))


def _sizes(path: Path, starts: NDArray[np.uint64], places: NDArray[Any]) -> NDArray[np.uint64]:
    """The number of stored bytes of every image; the table lists them by address, in the order of writing."""
    if not len(places) and len(starts):
        raise _damaged(path, "its address table is empty")
    order = np.argsort(places["start"])
    known = places["start"][order]
    at = np.minimum(np.searchsorted(known, starts), max(len(known) - 1, 0))
    if (known[at] != starts).any():
        raise _damaged(path, "its image table and its address table do not match")
    return np.ascontiguousarray(places["size"][order][at])


def _foreign(path: Path, found: str) -> RaysweepError:
    return RaysweepError(f"{path} is not an FFCV file of images and labels: it has {found}. {REWRITE}")


def _damaged(path: Path, why: str) -> RaysweepError:
    return RaysweepError(f"{path} is damaged: {why}. {REWRITE}")
