"""Images from class folders: train/CLASS/* and val/CLASS/*."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import TEST_NAMES, Read, Samples, Source, stem

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
"""Suffixes of images; class folders also contain other files, such as checksums and lists."""


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
        return self._bytes(index).decode(errors="replace")

    def picture(self, index: int) -> bytes:
        """The file."""
        return self._path(index).read_bytes()

    def fetch(self, indices: Sequence[int]) -> Read:
        """The paths of these images: workers read the files."""
        return partial(_read, {index: self._path(index) for index in indices})

    def _path(self, index: int) -> Path:
        return self._root / os.fsdecode(self._bytes(index))

    def _bytes(self, index: int) -> bytes:
        return self._paths[self._ends[index] : self._ends[index + 1]]


def _read(paths: Mapping[int, Path], index: int) -> bytes:
    return paths[index].read_bytes()


class FolderSource(Source):
    """A set whose classes are the folders in `train`, sorted; its test split is `val`, `validation` or `test`."""

    def __init__(self, root: Path) -> None:
        """`root` contains the folders of the splits.

        Raises:
            RaysweepError: a split is missing, or the splits have different classes.
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
            f"{root} is not a set of class folders: it needs train/CLASS/*.jpg and one of "
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
                f"{folders[here]} has {len(names)} classes that are missing from {folders[there]}: {first}. "
                "Both need the same class folders; in the test split they may be empty."
            )


def _files(root: Path, folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for label, name in enumerate(classes):
        # Strings, because a million Path objects take half a minute; compared by parts, like paths.
        found = [
            f"{below}/{file}"
            for parent, _, files in os.walk(folder / name)
            for below in [os.path.relpath(parent, root)]
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith(".")
        ]
        for path in sorted(found, key=lambda path: path.split("/")):
            yield label, path
