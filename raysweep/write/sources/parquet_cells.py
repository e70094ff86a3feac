"""The encoded images of Parquet files. Row groups are read in parts, because some files have one for all their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.parquet_columns import Columns

KEEP_WHOLE = 2 << 30
"""Largest set in bytes that is kept in memory as a whole; otherwise only the parts in use are."""
PART_BYTES = 256 << 20
"""Size of a part, about."""
PARTS_IN_USE = 2
BUFFER_BYTES = 1 << 20
"""Number of bytes that are read at a time; otherwise pyarrow loads whole row groups."""
DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""Errors of pyarrow with damaged files."""


@dataclass(frozen=True)
class Group:
    """A row group of a file."""

    path: Path
    name: str
    """The file, for users."""
    number: int
    """Among the row groups of the file."""
    rows: int
    bytes: int
    """Size in memory, about."""
    columns: Columns

    @property
    def rows_per_part(self) -> int:
        """Number of rows that are read at a time."""
        return max(1, min(self.rows, PART_BYTES * self.rows // max(1, self.bytes)))


def open_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        One of `DAMAGED`: it cannot be read.
    """
    return pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


class Cells:
    """The encoded images of all rows of some row groups, by their number among these rows."""

    def __init__(self, groups: Sequence[Group]) -> None:
        """Rows are numbered in the order of the groups."""
        self._groups = groups
        self._starts = np.cumsum([0, *(group.rows for group in groups)])
        self._open: tuple[int, int] | None = None
        self._parts: Iterator[Any] = iter(())
        # A small set is kept, so that nothing is read twice, whatever the order of rows.
        size = sum(group.bytes for group in groups)
        self.bytes_per_row = size / max(1, int(self._starts[-1]))
        kept = None if size <= KEEP_WHOLE else PARTS_IN_USE
        self._part = lru_cache(kept)(self._read)
        self._file = lru_cache(1)(open_table)

    def name(self, row: int) -> str:
        """File, row group and row."""
        group, place = self._place(row)
        return f"{self._groups[group].name} row group {self._groups[group].number} row {place}"

    def get(self, row: int) -> pa.Buffer | None:
        """The encoded image, not copied; None if the row has none.

        Raises:
            RaysweepError: it cannot be read.
        """
        group, place = self._place(row)
        part, offset = divmod(place, self._groups[group].rows_per_part)
        try:
            value = self._part(group, part)[offset]
        except DAMAGED as error:
            raise RaysweepError(
                f"{self.name(row)} and the following rows cannot be read: {printable(str(error))}. Get this file "
                "again; then the same command continues."
            ) from None
        if isinstance(value, pa.DictionaryScalar):
            value = value.value
        return value.as_buffer()

    def _place(self, row: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return group, row - int(self._starts[group])

    def _read(self, group: int, part: int) -> Any:
        """A part of a group; cheap if it follows the one that was read before."""
        if self._open != (group, part):
            file = self._file(self._groups[group].path)
            self._parts = islice(_parts(file, self._groups[group]), part, None)
        self._open = None
        found = next(self._parts, None)
        if found is None:
            raise pa.ArrowInvalid("it has fewer rows than it says")
        self._open = (group, part + 1)
        return found


def _parts(file: pq.ParquetFile, group: Group) -> Iterator[Any]:
    """The image column in parts of the same number of rows; pyarrow splits batches above 2 GiB."""
    image, field = group.columns.image, group.columns.field
    part: list[Any] = []
    left = group.rows
    batches = file.iter_batches(
        group.rows_per_part, row_groups=[group.number], columns=[group.columns.path], use_threads=False
    )
    for batch in batches:
        values = batch.column(batch.schema.get_field_index(image))
        part.append(pc.struct_field(values, field) if field else values)
        if sum(map(len, part)) >= min(left, group.rows_per_part):
            yield pa.chunked_array(part)
            left -= group.rows_per_part
            part = []
