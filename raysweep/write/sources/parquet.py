"""Images from Parquet: a file, or a folder of files as on the Hugging Face Hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import MAX_ENCODED, Read, Samples, Source, stem
from raysweep.write.sources.class_numbers import number_classes
from raysweep.write.sources.kind import Kind
from raysweep.write.sources.layout import listed
from raysweep.write.sources.parquet_cells import Cells
from raysweep.write.sources.parquet_columns import Wanted
from raysweep.write.sources.parquet_files import is_set
from raysweep.write.sources.parquet_rows import Rows, read_rows
from raysweep.write.sources.split_names import role, used_splits


class ParquetSamples(Samples):
    """The rows of one split."""

    def __init__(self, cells: Cells, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """`rows` (N,) are their numbers in `cells`; `labels` (N,)."""
        super().__init__(labels)
        self._cells = cells
        self._rows = rows

    def name(self, index: int) -> str:
        """File, row group and row of the image."""
        return self._cells.name(int(self._rows[index]))

    def picture(self, index: int) -> bytes:
        """The encoded image.

        Raises:
            OSError: the row has none, or one that is too large.
        """
        return _Fetched({index: self._cell(index)})(index)

    def fetch(self, indices: Sequence[int]) -> Read:
        """The encoded images, read here so that a row group is read once rather than by every worker.

        Raises:
            RaysweepError: a file cannot be read.
        """
        return _Fetched({index: self._cell(index) for index in indices})

    def _cell(self, index: int) -> bytes | str:
        value = self._cells.get(int(self._rows[index]))
        if value is None:
            return "the row has no image"
        return value.to_pybytes() if value.size <= MAX_ENCODED else f"too large: {value.size:,} bytes"


@dataclass(frozen=True)
class _Fetched:
    """Cells by image number; a text is the reason why there is no image."""

    cells: Mapping[int, bytes | str]

    def __call__(self, index: int) -> bytes:
        cell = self.cells[index]
        if isinstance(cell, str):
            raise OSError(cell)
        return cell


class ParquetSource(Source):
    """A set with columns of encoded images and of labels; file names, folders or a column `split` split it."""

    def __init__(self, path: Path, wanted: Wanted, hold_out: bool = False) -> None:
        """`path` is a file or a folder of files; `wanted` are columns to use instead of those that are found.

        With `hold_out` no test split is needed.

        Raises:
            RaysweepError: files or columns are missing or cannot be interpreted.
        """
        tally = Tally()
        found = read_rows(path, wanted, tally)
        self.name, self.spec = stem(str(path)), printable(f"{path}{found[0].columns.text()}")
        cells = Cells([group for rows in found for group in rows.groups])
        _check_images(cells, found[0])
        chosen, unused = _split_rows(found, self.spec, hold_out)
        names = _class_names(found)
        labels = _labels(found, self.spec).take(np.concatenate(list(chosen.values())))
        numbers, self.classes = number_classes(labels, names, self.spec)
        parts = np.split(numbers, np.cumsum([len(rows) for rows in chosen.values()])[:-1])
        self.splits = {
            split: ParquetSamples(cells, chosen[split], part) for split, part in zip(chosen, parts, strict=True)
        }
        self.fetched_bytes = cells.bytes_per_row
        self.notes = _notes(found[0], unused)
        _count_rest(tally, sorted(set(names) - set(self.classes), key=names.index), unused)
        self.passed_over = tally.account()


def _notes(first: Rows, unused: Counter[str]) -> tuple[str, ...]:
    columns = first.columns.text().removeprefix(", ")
    splits = listed(name for name in sorted(unused) if role(name))
    return tuple(filter(None, [columns, splits and f"splits that are not used: {splits}"]))


def _count_rest(tally: Tally, classes: Sequence[str], unused: Counter[str]) -> None:
    for name in classes:
        tally.add("classes without images", name)
    for name in sorted(unused):
        tally.add("rows in splits that are not used", name or "no split", unused[name])


def _check_images(cells: Cells, first: Rows) -> None:
    """Refuse a set whose first file has no image in any row."""
    if not any(cells.get(row) for row in range(len(first.labels))):
        raise RaysweepError(
            f"{first.table}: column `{printable(first.columns.image)}` has no bytes in any row, perhaps only paths: "
            "embed the image files in the column, or sort them into class folders."
        )


def _class_names(found: Sequence[Rows]) -> tuple[str, ...]:
    names = {rows.columns.classes: rows.table for rows in found if rows.columns.classes}
    if len(names) > 1:
        first, second = list(names.values())[:2]
        raise RaysweepError(
            f"{first} and {second} have different class names, so that one number stands for two classes: "
            "write all files of the set with the same names."
        )
    return next(iter(names), ())


def _labels(found: Sequence[Rows], spec: str) -> Any:
    types = {str(rows.labels.type): rows.table for rows in found}
    if len(types) > 1:
        files = " and ".join(f"{table.name} ({name})" for name, table in types.items())
        raise RaysweepError(f"{spec} has numbers and names as labels: {files}. Use one or the other in all files.")
    return pa.chunked_array([chunk for rows in found for chunk in rows.labels.chunks])


def _split_rows(found: Sequence[Rows], spec: str, hold_out: bool) -> tuple[dict[str, NDArray[np.int64]], Counter[str]]:
    """The numbers of the rows of each split, and how many rows each of the other splits has.

    Raises:
        RaysweepError: there are splits, but none to train on; names them.
    """
    splits = np.concatenate([rows.splits for rows in found])
    names = Counter(splits.tolist())
    used = used_splits(names, hold_out, spec)
    rest = Counter({name: count for name, count in names.items() if name not in used.values()})
    return {split: np.flatnonzero(splits == name) for split, name in used.items()}, rest


KIND = Kind(
    "a Parquet file, or a folder of them",
    is_set,
    lambda path, how: ParquetSource(path, Wanted(how.image_column, how.label_column), how.holdout is not None),
)
