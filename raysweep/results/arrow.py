"""Rows as Arrow tables and Parquet bytes, in the columns that `schema` declares."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
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
