"""Images from class folders: train/CLASS/* and val/CLASS/*."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from raysweep.safe import printable
from raysweep.write.sources.base import MAX_ENCODED, Read, Samples, Source, stem, unreadable
from raysweep.write.sources.layout import check_same_classes, choose_splits, count_rest
from raysweep.write.sources.open_image import open_regular
from raysweep.write.sources.walk import Walk


class FolderSamples(Samples):
    """The image files of one split, sorted by class and path."""

    def __init__(self, root: Path, files: Iterable[tuple[int, str]]) -> None:
        """`files` are class numbers and paths relative to `root`, stored in one string: there may be millions."""
        labels, ends, paths = array("q"), array("q"), bytearray()
        for label, path in files:
            paths += os.fsencode(path)
            labels.append(label)
            ends.append(len(paths))
        super().__init__(np.array(labels, np.int64))
        self._root = root
        self._paths = bytes(paths)
        self._ends = np.array([0, *ends], np.int64)

    def name(self, index: int) -> str:
        """The path relative to the folder of the set, printable."""
        return printable(os.fsdecode(self._bytes(index)))

    def picture(self, index: int) -> bytes:
        """The file."""
        return _read({index: self._path(index)}, index)

    def fetch(self, indices: Sequence[int]) -> Read:
        """The paths of these images: workers read the files."""
        return partial(_read, {index: self._path(index) for index in indices})

    def _path(self, index: int) -> Path:
        return self._root / os.fsdecode(self._bytes(index))

    def _bytes(self, index: int) -> bytes:
        return self._paths[self._ends[index] : self._ends[index + 1]]


def _read(paths: Mapping[int, Path], index: int) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is too large to be read.
    """
    with open_regular(paths[index]) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_ENCODED:
            raise OSError(errno.EFBIG, f"too large: {size:,} bytes")
        return file.read(size)


class FolderSource(Source):
    """A set whose classes are the folders in `train`, sorted; it is tested on the first of `TEST_NAMES`."""

    def __init__(self, root: Path) -> None:
        """`root` contains the folders of the splits.

        Raises:
            RaysweepError: a split or a folder cannot be read or is missing, or the splits have different classes.
        """
        self.name, self.spec = stem(str(root)), printable(str(root))
        walk = Walk(root)
        try:
            used = choose_splits(root)
            classes = {split: list(walk.class_folders(name)) for split, name in used.items()}
            check_same_classes(root, used, classes)
            self.classes = tuple(classes["train"])
            self.splits = {split: FolderSamples(root, _files(walk, name, self.classes)) for split, name in used.items()}
            self.notes = count_rest(walk, used)
        except OSError as error:
            raise unreadable(error, root) from None
        self.passed_over = walk.tally.account()


def _files(walk: Walk, split: str, classes: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for label, name in enumerate(classes):
        for path in walk.images(f"{split}/{name}"):
            yield label, path
