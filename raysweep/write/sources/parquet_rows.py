"""What Parquet files have besides their images: row groups, labels and splits, all read before any image is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.class_numbers import read_labels
from raysweep.write.sources.parquet_cells import DAMAGED, Group, open_table
from raysweep.write.sources.parquet_columns import Columns, Wanted, find_columns, has_images
from raysweep.write.sources.parquet_files import Table, check_one_set, check_shards, find_tables


@dataclass(frozen=True)
class Rows:
    """The rows of one file."""

    table: Table
    groups: Sequence[Group]
    columns: Columns
    labels: Any
    """A pyarrow array of numbers or text (N,)."""
    splits: NDArray[Any]
    """Names of splits in lower case (N,), empty where there is none."""


def read_rows(root: Path, wanted: Wanted, tally: Tally) -> list[Rows]:
    """The rows of all files of a set; files without images and missing shards are counted.

    Raises:
        RaysweepError: a file is damaged, or lacks columns; or the files belong to several sets.
    """
    found, others, tables = [], [], find_tables(root, tally)
    for table in tables:
        try:
            if rows := _read(table, wanted):
                found.append(rows)
        except _OtherTableError as error:
            others.append((table, error))
    if not found:
        raise others[0][1] if others else RaysweepError(f"{printable(str(root))} has no rows in Parquet files.")
    for table, _ in others:
        tally.add("Parquet files without images and labels", table.name)
    check_one_set([rows.table for rows in found if rows.columns.split is None], root)
    check_shards(tables, tally)
    return found


class _OtherTableError(RaysweepError):
    """A table that may belong to something else than a set of images."""


def _read(table: Table, wanted: Wanted) -> Rows | None:
    """The rows of a file; None if it has none."""
    try:
        with open_table(table.path) as file:
            if not file.metadata.num_rows:
                return None
            _check_size(file, table)
            columns = _columns(file.schema_arrow, table, wanted)
            names = [columns.label, *([columns.split] if columns.split else [])]
            values = file.read(columns=names)
            values.validate(full=True)
            groups = [_group(file, table, columns, number) for number in range(file.num_row_groups)]
        if sum(group.rows for group in groups) != len(values):
            raise pa.ArrowInvalid("its row groups do not have the number of rows that it says")
    except DAMAGED as error:
        raise RaysweepError(
            f"{table} cannot be read as a Parquet file: {printable(str(error)).rstrip('.')}. Get this file again."
        ) from None
    labels = read_labels(values.column(columns.label), f"{table}: column `{printable(columns.label)}`")
    splits = _splits(values.column(columns.split)) if columns.split else np.full(len(labels), table.split, object)
    return Rows(table, groups, columns, labels, splits)


def _check_size(file: pq.ParquetFile, table: Table) -> None:
    """Refuse more rows than different images could have in the bytes of a file, before any memory is taken for them."""
    rows, size = file.metadata.num_rows, table.path.stat().st_size
    if rows > size:
        raise RaysweepError(f"{table} has {rows:,} rows in {size:,} bytes: it is damaged, or its images repeat.")


def _columns(schema: pa.Schema, table: Table, wanted: Wanted) -> Columns:
    try:
        return find_columns(schema, str(table), wanted)
    except RaysweepError as error:
        if table.split and has_images(schema):
            raise
        raise _OtherTableError(str(error)) from None


def _group(file: pq.ParquetFile, table: Table, columns: Columns, number: int) -> Group:
    group = file.metadata.row_group(number)
    return Group(table.path, table.name, number, group.num_rows, group.total_byte_size, columns)


def _splits(values: Any) -> NDArray[Any]:
    text = pc.fill_null(pc.cast(values, pa.large_string()), "")
    codes = pc.utf8_lower(pc.utf8_trim_whitespace(text)).combine_chunks().dictionary_encode()
    names: NDArray[Any] = np.array(codes.dictionary.to_pylist(), object)
    return np.asarray(names[codes.indices.to_numpy()])
