"""Images from class folders: train/CLASS/* and val/CLASS/*."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import TEST_NAMES, Labelled, stem

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
"""Other files (checksums, lists, thumbnails) lie in class folders too and are no images."""


class Files:
    """Some files below a folder."""

    def __init__(self, root: Path, paths: dict[int, str]) -> None:
        """`paths` below `root` by the numbers of the images."""
        self._root = root
        self._paths = paths

    def picture(self, index: int) -> bytes:
        """The file."""
        return (self._root / self._paths[index]).read_bytes()


class FolderSamples(Labelled):
    """The image files of one split, class after class in the order of their names."""

    def __init__(self, root: Path, files: Iterable[tuple[int, str]]) -> None:
        """`files` are class numbers and paths below `root`. A million paths lie in one string, not in a million."""
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
        """The path below the folder of the set, as it can be printed."""
        return self._bytes(index).decode(errors="replace")

    def picture(self, index: int) -> bytes:
        """The file."""
        return self.fetch([index]).picture(index)

    def fetch(self, indices: Sequence[int]) -> Files:
        """Their paths: workers read the files."""
        return Files(self._root, {index: os.fsdecode(self._bytes(index)) for index in indices})

    def _bytes(self, index: int) -> bytes:
        return self._paths[self._ends[index] : self._ends[index + 1]]


class FolderSource:
    """Classes are the folders in `train`, sorted by name; the test split is `val`, `validation` or `test`."""

    def __init__(self, root: Path) -> None:
        """`root` holds the folders of the splits.

        Raises:
            RaysweepError: a split is not there, or its classes are others than those of the training images.
        """
        self.name, self.spec = stem(str(root)), str(root)
        folders = {"train": root / "train", "test": _test_folder(root)}
        self.classes = _classes(folders["train"])
        _check_same(self.classes, folders)
        self.splits = {split: FolderSamples(root, _files(root, path, self.classes)) for split, path in folders.items()}


def _test_folder(root: Path) -> Path:
    found = [name for name in TEST_NAMES if (root / name).is_dir() and _classes(root / name)]
    if not found or not (root / "train").is_dir():
        raise RaysweepError(
            f"{root} is no set of class folders: it needs train/CLASS/*.jpg and one of "
            f"{', '.join(f'{name}/CLASS/*.jpg' for name in TEST_NAMES)}."
        )
    return root / found[0]


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def _check_same(classes: tuple[str, ...], folders: dict[str, Path]) -> None:
    test = _classes(folders["test"])
    for here, there, names in (
        ("train", "test", set(classes) - set(test)),
        ("test", "train", set(test) - set(classes)),
    ):
        if names:
            first = ", ".join(sorted(names)[:5]) + (" ..." if len(names) > 5 else "")
            raise RaysweepError(
                f"{folders[here]} has {len(names)} classes that {folders[there]} has not: {first}. "
                "Both need the same class folders; an empty one is enough in the test split."
            )


def _files(root: Path, folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for label, name in enumerate(classes):
        # Strings, since a million paths as objects take half a minute; parts are compared, as paths are.
        found = [
            f"{below}/{file}"
            for parent, _, files in os.walk(folder / name)
            for below in [os.path.relpath(parent, root)]
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith(".")
        ]
        for path in sorted(found, key=lambda path: path.split("/")):
            yield label, path
