"""An FFCV file that grows at its end: images one after another, and last the tables and the header.

FFCV's readers number pages from the start of the file and load whole ones, so no image may lie across the end of a
page; more they do not ask. A page may therefore become larger while the file is written: the ends of larger pages are
ends of smaller ones too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import FIELD, FIELDS, HEADER, PLACE, ROW, VERSION

PAGE = 8 << 20
"""Bytes of a page unless an image needs a larger one; FFCV's own default."""
ALIGNMENT = 4096
TABLE_START = HEADER.itemsize + len(FIELDS) * FIELD.itemsize


class BetonWriter:
    """A file under way. What has been added is on the disk after `sync`; it can be read after `finish`."""

    def __init__(self, path: Path, capacity: int) -> None:
        """Open the file, or begin it with room for the table of `capacity` images.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._page = PAGE
        self._first = -(-(TABLE_START + capacity * ROW.itemsize) // ALIGNMENT) * ALIGNMENT
        self.end = self._first
        """Where the next image goes, unless it would lie across the end of a page."""

    @property
    def length(self) -> int:
        """Bytes the file has."""
        return os.fstat(self._file).st_size

    def go_on(self, stored: NDArray[Any]) -> None:
        """Cut the file after these images (see `encoding.STORED`), which it holds, and go on there."""
        self.end = int((stored["start"] + stored["size"]).max(initial=self._first))
        self._page = page_size(int(stored["size"].max(initial=0)), PAGE)
        os.ftruncate(self._file, self.end)

    def read(self, start: int, size: int) -> bytes:
        """Bytes that have been written; fewer where the file ends."""
        return os.pread(self._file, size, start)

    def add(self, sizes: Sequence[int], data: bytes) -> NDArray[np.uint64]:
        """Append images of these sizes, whose bytes follow each other in `data`; returns where they begin.

        Raises:
            OSError: no space, or a disk that fails. The file is then as it was before.
        """
        starts, end, page = self._places(sizes)
        offsets = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
        # Images that lie side by side are written at once.
        jumps = np.flatnonzero(np.diff(starts - offsets[:-1])) + 1
        try:
            for first, last in zip([0, *jumps], [*jumps, len(sizes)], strict=True):
                if first < last:
                    self._put(memoryview(data)[offsets[first] : offsets[last]], int(starts[first]))
        except OSError:
            os.ftruncate(self._file, min(self.end, self.length))
            raise
        self.end, self._page = end, page
        return starts.astype(np.uint64)

    def _places(self, sizes: Sequence[int]) -> tuple[NDArray[np.int64], int, int]:
        starts, end, page = np.empty(len(sizes), np.int64), self.end, self._page
        for k, size in enumerate(sizes):
            page = page_size(size, page)
            if end // page != (end + size - 1) // page:
                end = -(-end // page) * page
            starts[k] = end
            end += size
        return starts, end, page

    def _put(self, data: memoryview | bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file, view, at)
            view, at = view[count:], at + count

    def sync(self) -> None:
        """Have the disk hold all that was added.

        Raises:
            OSError: it cannot.
        """
        os.fsync(self._file)

    def finish(self, stored: NDArray[Any], labels: NDArray[np.int64]) -> None:
        """Write tables and header for these images, in this order. Can be repeated.

        Raises:
            OSError: no space, or a disk that fails.
        """
        os.ftruncate(self._file, self.end)
        self._put(_places(stored).tobytes(), self.end)
        self._put(_rows(stored, labels).tobytes(), TABLE_START)
        self.sync()  # the header makes it a whole file, so it comes after all else
        self._put(_header(len(labels), self.end, self._page), 0)
        self.sync()

    def close(self) -> None:
        """Close the file as it is."""
        os.close(self._file)


def page_size(size: int, at_least: int) -> int:
    """A power of two in which an image of this size fits; `at_least` is one."""
    return max(at_least, 1 << max(0, size - 1).bit_length())


def _places(stored: NDArray[Any]) -> NDArray[Any]:
    places = np.zeros(len(stored), PLACE)
    places["image"] = np.arange(len(stored))
    places["start"], places["size"] = stored["start"], stored["size"]
    return places


def _rows(stored: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[Any]:
    rows = np.zeros(len(stored), ROW)
    for name in ("mode", "width", "height", "start"):
        rows["image"][name] = stored[name]
    rows["label"] = labels
    return rows


def _header(images: int, table: int, page: int) -> bytes:
    header = np.zeros(1, HEADER)
    header[0] = (VERSION, len(FIELDS), page, images, table)
    fields = np.zeros(len(FIELDS), FIELD)
    for field, (kind, name) in zip(fields, FIELDS, strict=True):
        field["type"] = kind
        field["name"][: len(name)] = np.frombuffer(name, np.uint8)
    return header.tobytes() + fields.tobytes()
