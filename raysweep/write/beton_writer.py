"""Writes FFCV files: the images, at places that depend on their sizes only, then the tables, then the header.

FFCV's readers number pages from the start of the file and load whole pages, so no image may cross the end of a page;
they require nothing else. The size of a page can therefore grow within a file: the end of a larger page is also the end
of a smaller one.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import FIELD, FIELDS, HEADER, PLACE, ROW, VERSION

PAGE = 8 << 20
"""Bytes per page unless an image needs a larger one; FFCV's own default."""
ALIGNMENT = 4096
TABLE_START = HEADER.itemsize + len(FIELDS) * FIELD.itemsize


class BetonWriter:
    """A file of known images that are written in any order. It can be read after `finish`."""

    def __init__(self, path: Path, stored: NDArray[Any], capacity: int) -> None:
        """Open or create the file.

        Args:
            path: the file; images that it already holds stay.
            stored: its images in order (see `encode.STORED`).
            capacity: number of images to leave room for in the first table, at least `len(stored)`.

        Raises:
            OSError: the file cannot be opened.
        """
        self._stored = stored
        self._offsets = np.concatenate([[0], np.cumsum(stored["size"], dtype=np.int64)])
        """Where the bytes of each image would start if nothing were between them."""
        self._starts, self._end, self._page = lay_out(stored["size"], capacity)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def put(self, first: int, data: bytes | memoryview) -> None:
        """Write the bytes of consecutive images, from image number `first` on. Can be repeated.

        Raises:
            OSError: the disk is full or fails.
        """
        end = np.searchsorted(self._offsets, self._offsets[first] + len(data))
        offsets = self._offsets[first : end + 1] - self._offsets[first]
        starts = self._starts[first:end].tolist()
        view = memoryview(data)
        for start, (begin, stop) in zip(starts, pairwise(offsets.tolist()), strict=True):
            self._write(view[begin:stop], start)

    def _write(self, data: memoryview | bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file, view, at)
            view, at = view[count:], at + count

    def sync(self) -> None:
        """Flush the file to disk.

        Raises:
            OSError: the disk fails.
        """
        os.fsync(self._file)

    def finish(self, labels: NDArray[np.int64]) -> None:
        """Write tables and header; `labels` are those of the images in order. Can be repeated.

        Raises:
            OSError: the disk is full or fails.
        """
        os.ftruncate(self._file, self._end)
        self._write(self._places(), self._end)
        self._write(self._rows(labels), TABLE_START)
        self.sync()  # the header makes the file readable, so it comes last
        self._write(_header(len(labels), self._end, self._page), 0)
        self.sync()

    def _places(self) -> bytes:
        places = np.zeros(len(self._stored), PLACE)
        places["image"] = np.arange(len(self._stored))
        places["start"], places["size"] = self._starts, self._stored["size"]
        return places.tobytes()

    def _rows(self, labels: NDArray[np.int64]) -> bytes:
        rows = np.zeros(len(self._stored), ROW)
        for name in ("mode", "width", "height"):
            rows["image"][name] = self._stored[name]
        rows["image"]["start"], rows["label"] = self._starts, labels
        return rows.tobytes()

    def close(self) -> None:
        """Close the file as it is."""
        os.close(self._file)


def lay_out(sizes: NDArray[Any], capacity: int) -> tuple[NDArray[np.uint64], int, int]:
    """The start of each image of these sizes in bytes, the end of the last one, and the size of a page."""
    end, page = -(-(TABLE_START + capacity * ROW.itemsize) // ALIGNMENT) * ALIGNMENT, PAGE
    starts = np.empty(len(sizes), np.uint64)
    for k, size in enumerate(sizes.tolist()):
        page = page_size(size, page)
        if end // page != (end + size - 1) // page:
            end = -(-end // page) * page
        starts[k] = end
        end += size
    return starts, end, page


def page_size(size: int, at_least: int) -> int:
    """The smallest power of two that holds an image of this size and is not below `at_least`, itself a power of two."""
    return max(at_least, 1 << max(0, size - 1).bit_length())


def _header(images: int, table: int, page: int) -> bytes:
    header = np.zeros(1, HEADER)
    header[0] = (VERSION, len(FIELDS), page, images, table)
    fields = np.zeros(len(FIELDS), FIELD)
    for field, (kind, name) in zip(fields, FIELDS, strict=True):
        field["type"] = kind
        field["name"][: len(name)] = np.frombuffer(name, np.uint8)
    return header.tobytes() + fields.tobytes()
