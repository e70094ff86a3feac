"""Rows as Arrow tables and Parquet files, with the columns that `schema` declares."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# For files of few rows: dictionaries, statistics, compression and a second copy of the schema would make them larger,
# and four times slower to read.
PLAIN: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
PACKED: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "store_schema": False}
"""Options for files of many rows."""


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table: missing columns become null, unknown ones are left out."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def parquet(table: pa.Table, options: Mapping[str, Any]) -> bytes:
    """The table as the content of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a schema: missing columns become null, unknown ones are left out."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def last_of_each(keys: Sequence[str], table: pa.Table) -> pa.Table:
    """The last row of every combination of keys, in one chunk: a row that is written again replaces the earlier one."""
    numbered = table.select(keys).append_column("row", pa.array(range(len(table)), pa.int64()))
    rows = numbered.group_by(list(keys)).aggregate([("row", "max")])["row_max"]
    return table.combine_chunks().take(rows.sort())


BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def identical(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables with the same schema are equal bit by bit.

    Arrow's own comparison fails on NaN, such as the loss of a diverged trial.
    """
    pairs = zip(*(_leaves(table.to_struct_array().combine_chunks()) for table in (one, other)), strict=True)
    return all(mine.equals(theirs) for mine, theirs in pairs)


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The flat arrays that a nested array consists of, with floating-point numbers as their bits."""
    if pa.types.is_struct(array.type):
        yield array.is_valid()
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_list(array.type):
        yield array.value_lengths()
        yield from _leaves(array.flatten())
    else:
        yield array.view(BITS.get(array.type, array.type))
