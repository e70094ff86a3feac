"""Images named by a table of paths and labels, as Kaggle has them: train.csv and a folder of images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import Read, Samples, Source, stem, unreadable
from raysweep.write.sources.class_numbers import as_labels, number_classes
from raysweep.write.sources.folder import read_file
from raysweep.write.sources.kind import Kind, Options
from raysweep.write.sources.layout import listed
from raysweep.write.sources.parquet_columns import Wanted
from raysweep.write.sources.split_names import TEST_NAMES, TRAIN_NAMES, role, split_in, used_splits
from raysweep.write.sources.table_rows import IS_TEST, Columns, Table, find_columns, is_table, is_true, read_table
from raysweep.write.sources.walk import Walk, entries, is_folder, service

NONE, SEVERAL = "there is no such file", "several files have this name"


@dataclass(frozen=True, slots=True)
class Named:
    """An image that a row names: its path relative to the folder of the set, or the reason why there is none."""

    path: str
    label: str
    split: str
    row: str
    """The table and the row, for messages."""
    problem: str = ""


class TableSamples(Samples):
    """The images of one split, in the order of the rows."""

    def __init__(self, root: Path, images: Sequence[Named], labels: NDArray[np.int64]) -> None:
        """`labels` (N,)."""
        super().__init__(labels)
        self._root = root
        self._images = images

    def name(self, index: int) -> str:
        """The path of the image, or its row if there is none."""
        image = self._images[index]
        return printable(f"{image.row}, {image.path}" if image.problem else image.path)

    def picture(self, index: int) -> bytes:
        """The file."""
        return _Files(self._root, {index: self._images[index]})(index)

    def fetch(self, indices: Sequence[int]) -> Read:
        """The paths of these images: workers read the files."""
        return _Files(self._root, {index: self._images[index] for index in indices})


@dataclass(frozen=True)
class _Files:
    root: Path
    images: Mapping[int, Named]

    def __call__(self, index: int) -> bytes:
        image = self.images[index]
        if image.problem:
            raise OSError(image.problem)
        return read_file(self.root / image.path)


class Files:
    """The images below a folder, found by the names that tables have for them: paths, with or without a suffix."""

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        """`paths` are relative to the root."""
        self._root = root
        self.paths = tuple(paths)
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            for known in {name, name.rpartition(".")[0]} - {""}:
                self._by_name[known].append(path)

    def find(self, value: str, near: Sequence[str] = ()) -> list[str]:
        """The files that a value may stand for: one in the folders `near`, or all others that end as it does."""
        text = value.replace("\\", "/").removeprefix("./").removeprefix(f"{self._root.resolve()}/")
        text = text.removeprefix(f"{self._root.resolve().name}/")
        found = [path for path in self._by_name.get(text.rpartition("/")[2], ()) if self._ends(path, text)]
        for folder in near:
            here = f"{folder}/{text}".lstrip("/")
            if inside := [path for path in found if here in (path, _bare(path))]:
                return inside
        top = {folder for folder in near if folder}
        if len(found) > 1 and (inside := [path for path in found if path.partition("/")[0] in top]):
            return inside
        return found

    def _ends(self, path: str, text: str) -> bool:
        return any(f"/{known}".endswith(f"/{text}") for known in (path, _bare(path)))


def _bare(path: str) -> str:
    """A path without the suffix of the file."""
    return str(PurePosixPath(path).with_suffix("")) if "." in path.rpartition("/")[2][1:] else path


class TableSource(Source):
    """A set whose images and labels are in the rows of tables."""

    def __init__(self, path: Path, how: Options) -> None:
        """`path` is a table, or the folder of a set that has tables.

        Raises:
            RaysweepError: no table can be used; says why.
        """
        root = path if path.is_dir() else path.parent
        self.name, self.spec = stem(str(path)), printable(str(path))
        wanted = Wanted(how.image_column, how.label_column)
        names = _tables(root) if path.is_dir() else [path.name]
        walk = Walk(root)
        try:
            files = Files(root, walk.images("", leave_out=names))
            used = _choose([_Opened(root, name, files, wanted) for name in names], how.holdout is not None, self.spec)
        except OSError as error:
            raise unreadable(error, path) from None
        images = [image for table in used for image in table.images(walk)]
        splits = _split(images, how.holdout is not None, self.spec)
        texts = [image.label for part in splits.values() for image in part]
        labels, self.classes = number_classes(as_labels(texts), (), self.spec)
        parts = np.split(labels, np.cumsum([len(part) for part in splits.values()])[:-1])
        self.splits = {
            split: TableSamples(root, part, own) for (split, part), own in zip(splits.items(), parts, strict=True)
        }
        self.notes = tuple(table.note() for table in used)
        _count(walk, files, images, splits, [name for name in names if name not in {table.name for table in used}])
        self.passed_over = walk.tally.account()


class _Opened:
    """A table and what its rows name; `problem` says why it cannot be used."""

    def __init__(self, root: Path, name: str, files: Files, wanted: Wanted) -> None:
        self.name, self.problem = name, ""
        folder = name.rpartition("/")[0]
        self.split = split_in(PurePosixPath(name).stem) or next((part for part in folder.split("/") if role(part)), "")
        self._files, self._near = files, [folder, "", *_folders(root, self.split)]
        try:
            self._table: Table = read_table(root, name)
            self.columns: Columns = find_columns(self._table, wanted, lambda value: bool(files.find(value, self._near)))
        except RaysweepError as error:
            self.problem = str(error)

    def note(self) -> str:
        """The columns in use."""
        used = self.columns
        return f"{printable(self.name)}: images from column {used.image!r}, labels from column {used.label!r}"

    def images(self, walk: Walk) -> Iterator[Named]:
        """The image of each row; rows that repeat one are counted.

        Raises:
            RaysweepError: an image has rows with different labels.
        """
        table, used = self._table, self.columns
        seen: dict[str, str] = {}
        columns = table.column(used.image), table.column(used.label), self._splits()
        for number, (value, label, split) in enumerate(zip(*columns, strict=True), start=2):
            found = self._files.find(value, self._near)
            row = f"{self.name} row {number}"
            if len(found) != 1:
                yield Named(value, label, split, row, SEVERAL if found else NONE)
            elif found[0] not in seen:
                seen[found[0]] = label
                yield Named(found[0], label, split, row)
            elif seen[found[0]] == label:
                walk.tally.add("rows that repeat an image", row)
            else:
                raise RaysweepError(
                    f"{printable(row)}: {printable(found[0])} has the label {label!r} here and {seen[found[0]]!r} in "
                    "an earlier row, but an image has one class: keep one row for each image."
                )

    def _splits(self) -> list[str]:
        """The name of the split of each row: a column's, the file's, or that of a folder that all rows name."""
        table, column = self._table, self.columns.split
        if column.casefold() in IS_TEST:
            return ["val" if is_true(value) else "train" for value in table.column(column)]
        if column:
            return [value.casefold() for value in table.column(column)]
        if self.split:
            return [self.split] * len(table.rows)
        folders = [value.replace("\\", "/").split("/")[:-1] for value in table.column(self.columns.image)]
        found = [next((part.casefold() for part in parts if role(part)), "") for parts in folders]
        return found if all(found) else [""] * len(found)


def _tables(root: Path) -> list[str]:
    """The tables in a folder and in the folders directly in it."""
    found = [("", entry) for entry in entries(root)]
    found += [(f"{top.name}/", entry) for _, top in found if _is_open(top) for entry in entries(top.path)]
    return [f"{folder}{entry.name}" for folder, entry in found if _is_table(entry)]


def _is_open(entry: os.DirEntry[str]) -> bool:
    return is_folder(entry) and not entry.is_symlink() and not service(entry.name, True)


def _is_table(entry: os.DirEntry[str]) -> bool:
    return is_table(entry.name) and not service(entry.name, False) and entry.is_file()


def _folders(root: Path, split: str) -> list[str]:
    """The folders in the root that are named after a split."""
    return [entry.name for entry in entries(root) if split and is_folder(entry) and split_in(entry.name) == split]


def _choose(tables: Sequence[_Opened], hold_out: bool, spec: str) -> list[_Opened]:
    """The tables that make up the set: those of a training and a test split, or the only one.

    Raises:
        RaysweepError: there is none, or several that may be it.
    """
    usable = [table for table in tables if not table.problem]
    if not usable:
        raise RaysweepError(f"{spec}: {' '.join(table.problem for table in tables)}")
    train = [table for table in usable if table.split in TRAIN_NAMES]
    if not train and len(usable) == 1:
        return usable
    tests = [[table for table in usable if table.split == name] for name in TEST_NAMES]
    test = [] if hold_out else next(filter(None, tests), [])
    if len(train) != 1 or len(test) > 1:
        raise RaysweepError(
            f"{spec} has several tables with images and labels: {listed(table.name for table in usable)}. Give one of "
            "them as SOURCE, or move the others elsewhere."
        )
    return [*train, *test]


def _split(images: Sequence[Named], hold_out: bool, spec: str) -> dict[str, list[Named]]:
    """The images of each split.

    Raises:
        RaysweepError: there are splits, but none to train on.
    """
    used = used_splits({image.split for image in images}, hold_out, spec)
    return {split: [image for image in images if image.split == name] for split, name in used.items()}


def _count(
    walk: Walk, files: Files, images: Sequence[Named], splits: Mapping[str, Sequence[Named]], tables: Sequence[str]
) -> None:
    """Count what the set does not have: other tables, rows of other splits, images without a row."""
    for name in tables:
        walk.tally.add("tables that are not used", name)
    used = {id(image) for part in splits.values() for image in part}
    for image in images:
        if id(image) not in used:
            walk.tally.add("rows in splits that are not used", image.row)
    for path in sorted({*files.paths} - {image.path for image in images}, key=os.fsencode):
        walk.tally.add("images that no row names", path)


def recognises(path: Path) -> bool:
    """Whether a path is a table, or a folder that has one whose rows name images and labels."""
    if not path.is_dir():
        return is_table(path.name)
    names = _tables(path)
    if not names:
        return False
    files = Files(path, Walk(path).images(""))
    return any(not _Opened(path, name, files, Wanted()).problem for name in names)


KIND = Kind("a CSV or JSON lines file with paths and labels", recognises, TableSource)
