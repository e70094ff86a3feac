"""Images from class folders: train/CLASS/* and val/CLASS/*, or CLASS/*."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from raysweep.safe import printable
from raysweep.write.sources.base import MAX_ENCODED, Read, Samples, Source, stem, unreadable
from raysweep.write.sources.kind import Kind
from raysweep.write.sources.layout import choose_splits, class_folders, count_rest, has_split_folders, refusal
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
    return read_file(paths[index])


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is too large to be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_ENCODED:
            raise OSError(errno.EFBIG, f"too large: {size:,} bytes")
        return file.read(size)


class FolderSource(Source):
    """A set whose classes are the folders in `train`, or in the root, sorted; tested on the first of `TEST_NAMES`."""

    def __init__(self, root: Path, hold_out: bool = False) -> None:
        """`root` contains the folders of the splits, or of the classes; `hold_out` ignores a test split.

        Raises:
            RaysweepError: a folder cannot be read, or there are no folders of classes.
        """
        self.name, self.spec = stem(str(root)), printable(str(root))
        walk = Walk(root)
        try:
            used = choose_splits(root, hold_out)
            classes = {split: list(class_folders(walk, name)) for split, name in used.items()}
            self.refusal = refusal(root, used, classes)
            self.classes = tuple(sorted({*chain.from_iterable(classes.values())}, key=os.fsencode))
            self.splits = {
                split: FolderSamples(root, self._files(walk, name, classes[split])) for split, name in used.items()
            }
            self.notes = count_rest(walk, used)
        except OSError as error:
            raise unreadable(error, root) from None
        self.passed_over = walk.tally.account()

    def _files(self, walk: Walk, split: str, names: Iterable[str]) -> Iterator[tuple[int, str]]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        for name in names:
            for path in walk.images(f"{split}/{name}".lstrip("/")):
                yield numbers[name], path


KIND = Kind(
    "a folder with train/CLASS/*.jpg", has_split_folders, lambda path, how: FolderSource(path, how.holdout is not None)
)
