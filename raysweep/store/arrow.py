"""Rows as Arrow tables and Parquet bytes, in the columns that `schema` declares."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# Rows are few and files many: dictionaries, statistics, compression and a second copy of the schema make such a file
# larger and four times as slow to read.
PLAIN: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
PACKED: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "store_schema": False}
"""How files of many rows are written."""


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table; what a row lacks is null, what it has besides is left out."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def parquet(table: pa.Table, options: Mapping[str, Any]) -> bytes:
    """The table as the content of a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of this version in its order: what an older file lacks is null, what it has besides is left out."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def last_of_each(keys: Sequence[str], table: pa.Table) -> pa.Table:
    """The last row of every combination of keys, in one chunk: a writer that repeats a row corrects it."""
    numbered = table.select(keys).append_column("row", pa.array(range(len(table)), pa.int64()))
    rows = numbered.group_by(list(keys)).aggregate([("row", "max")])["row_max"]
    return table.combine_chunks().take(rows.sort())


BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def identical(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables of one schema hold the same bits.

    For Arrow no NaN, such as the loss of a diverged trial, equals another.
    """
    pairs = zip(*(_leaves(table.to_struct_array().combine_chunks()) for table in (one, other)), strict=True)
    return all(mine.equals(theirs) for mine, theirs in pairs)


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays that a nested one is made of, numbers with a fraction as their bits."""
    if pa.types.is_struct(array.type):
        yield array.is_valid()
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_list(array.type):
        yield array.value_lengths()
        yield from _leaves(array.flatten())
    else:
        yield array.view(BITS.get(array.type, array.type))
