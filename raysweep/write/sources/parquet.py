"""Images from Parquet: a file, or a folder of files as on the Hugging Face Hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Read, Samples, Source, check_range, stem, test_split

KEEP_WHOLE = 2 << 30
"""Largest set in bytes that is kept in memory as a whole; otherwise only the row groups in use are."""
GROUPS_IN_USE = 2


class _Groups:
    """Row groups of the image column, read when one of their images is needed."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        sizes = [
            metadata.row_group(group).total_byte_size
            for metadata in map(pq.read_metadata, files)
            for group in range(metadata.num_row_groups)
        ]
        # A small set is kept, so that no group is read twice, whatever the order of rows.
        self.get = lru_cache(None if sum(sizes) <= KEEP_WHOLE else GROUPS_IN_USE)(self._read)
        """A function of file and group that returns the image column."""

    def _read(self, file: int, group: int) -> Any:
        with pq.ParquetFile(self.files[file]) as opened:
            return opened.read_row_group(group, columns=["image"], use_threads=True).column("image")


class ParquetSamples(Samples):
    """The rows of one split."""

    def __init__(self, groups: _Groups, places: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """`places` (N, 3): file, row group, and row in the group; `labels` (N,)."""
        super().__init__(labels)
        self._groups = groups
        self._places = places

    def name(self, index: int) -> str:
        """File, row group and row of the image."""
        file, group, row = self._places[index].tolist()
        return f"{self._groups.files[file].name} row group {group} row {row}"

    def picture(self, index: int) -> bytes:
        """The encoded image; empty if the row has none."""
        file, group, row = self._places[index].tolist()
        value = self._groups.get(file, group)[row].as_py()
        return (value.get("bytes") if isinstance(value, dict) else value) or b""

    def fetch(self, indices: Sequence[int]) -> Read:
        """The encoded images, read here so that a row group is read once rather than by every worker.

        Raises:
            RaysweepError: a row group cannot be read.
        """
        try:
            return {index: self.picture(index) for index in indices}.__getitem__
        except (pa.ArrowException, OSError) as error:
            raise RaysweepError(f"{self.name(indices[0])} and the following rows cannot be read: {error}") from None


class ParquetSource(Source):
    """A set with the columns `image` (bytes, or a struct with bytes) and `label`; a column or file names split it."""

    def __init__(self, path: Path) -> None:
        """`path` is a file or a folder of files.

        Raises:
            RaysweepError: files or columns are missing or cannot be interpreted.
        """
        self.name, self.spec = stem(str(path)), str(path)
        files = sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")]) if path.is_dir() else [path]
        schema = _schema(files)
        labels, splits, places = (
            np.concatenate(part) for part in zip(*map(_rows, range(len(files)), files), strict=True)
        )
        rows = _split_rows(splits, self.spec)
        groups = _Groups(files)
        self.splits = {split: ParquetSamples(groups, places[rows[split]], labels[rows[split]]) for split in rows}
        used = np.concatenate([labels[rows[split]] for split in rows])
        self.classes = _class_names(schema) or _numbered(used, self.spec)


def _schema(files: list[Path]) -> Any:
    try:
        schema = pq.read_schema(files[0])
    except (pa.ArrowInvalid, OSError) as error:
        raise RaysweepError(f"{files[0]} cannot be read as a Parquet file: {error}") from None
    missing = [name for name in ("image", "label") if name not in schema.names]
    if missing:
        raise RaysweepError(
            f"{files[0]} has no column {' and no column '.join(missing)}: it has {', '.join(schema.names)}. "
            "Rename the columns: `image` must hold encoded images and `label` class numbers from 0."
        )
    return schema


def _rows(number: int, path: Path) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """The labels, split names and places of the rows of one file."""
    _schema([path])
    with pq.ParquetFile(path) as file:
        by_column = "split" in file.schema_arrow.names
        columns = file.read(columns=["label", "split"] if by_column else ["label"])
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    labels = _whole_numbers(columns.column("label"), path)
    splits = columns.column("split").to_numpy() if by_column else np.full(len(labels), _split_of(path), dtype=object)
    places = [np.stack(np.broadcast_arrays(number, group, np.arange(size)), 1) for group, size in enumerate(sizes)]
    return labels, splits, np.concatenate([np.empty((0, 3), np.int64), *places])


def _whole_numbers(column: Any, path: Path) -> NDArray[np.int64]:
    if not pa.types.is_integer(column.type) or column.null_count:
        what = f"{column.null_count} rows without a value" if column.null_count else f"type {column.type}"
        raise RaysweepError(f"{path}: column `label` has {what}; it must hold a class number from 0 in every row.")
    return np.asarray(pc.cast(column, pa.int64()).to_numpy(), np.int64)


def _split_of(path: Path) -> str:
    return path.name.replace(".", "-").replace("_", "-").split("-")[0].lower()


def _split_rows(splits: NDArray[Any], spec: str) -> dict[str, NDArray[np.int64]]:
    found = sorted({str(name) for name in splits})
    test = test_split(found)
    if "train" not in found or test is None:
        raise RaysweepError(
            f"{spec} has the splits {', '.join(found) or 'none'}: it needs `train` and one of `val`, `validation`, "
            "`test`, in a column `split` or as the start of the file names (train-*.parquet)."
        )
    return {"train": np.flatnonzero(splits == "train"), "test": np.flatnonzero(splits == test)}


def _class_names(schema: Any) -> tuple[str, ...]:
    metadata = schema.metadata or {}
    try:
        if b"class_names" in metadata:
            return tuple(map(str, json.loads(metadata[b"class_names"])))
        if b"huggingface" in metadata:
            feature = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]
            return tuple(map(str, feature.get("names", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    return ()


def _numbered(labels: NDArray[np.int64], spec: str) -> tuple[str, ...]:
    # Without names, the labels determine the number of classes.
    count = int(labels.max(initial=0)) + 1
    check_range(labels, count, spec)
    return tuple(str(number) for number in range(count))
