"""Segments: files that hold many trials, which the small files of a store are merged into.

    compacted/trials-NAME.parquet    one row per trial that has ended: its own row, and its epochs as a list
    compacted/members-NAME.parquet   the studies and variants that trials belong to

A segment is never changed or deleted. A trial that was trained further after its compaction is in several segments; the
row of the attempt that finished counts, else that of the last attempt. A small file of a trial takes precedence over
all segments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.errors import RaysweepError
from raysweep.store.arrow import PACKED, conform, identical, last_of_each, parquet
from raysweep.store.files import Files
from raysweep.store.reading import DAMAGE, check_values
from raysweep.store.schema import EPOCHS, MEMBERS, TRIAL

FOLDER = "compacted"
ROWS = "epoch_rows"
SEGMENT = TRIAL.append(pa.field(ROWS, pa.list_(pa.struct(list(EPOCHS))), metadata={"doc": "rows of its epochs"}))
AGE = ("status", "attempts", "updated_at")
"""Columns that decide which of several rows of a trial counts."""
ROW_GROUP = 256
"""Number of trials that are read to find one of them."""


class Segments:
    """The segments of a store.

    Writing verifies the new segment. It raises a `RaysweepError` if that cannot be written, or is damaged when it is
    read back.
    """

    def __init__(
        self,
        files: Files,
        names: Callable[[str], Iterable[str]],
        or_note: Callable[[Callable[[str], pa.Table], str], pa.Table | None],
    ) -> None:
        """`names` lists a folder without foreign files, which it records.

        `or_note` calls a function on a file; if the file is damaged, it records the message and returns None.
        """
        self.files = files
        self.names = names
        self.or_note = or_note

    def write_trials(self, name: str, trials: pa.Table, epochs: pa.Table) -> None:
        """Add a segment of trials with all their epochs."""
        self._write(f"{FOLDER}/trials-{name}.parquet", _nest(trials, epochs))

    def write_members(self, name: str, members: pa.Table) -> None:
        """Add a segment of members."""
        self._write(f"{FOLDER}/members-{name}.parquet", members)

    def trials(self, columns: Sequence[str]) -> pa.Table:
        """The rows of all trials, each once, in these columns; `trial` must be one of them."""
        schema = pa.schema([TRIAL.field(name) for name in dict.fromkeys([*columns, *AGE])])
        return _newest(self._read_all("trials", schema), schema).select(columns)

    def trial(self, trial: str, columns: Sequence[str] = TRIAL.names) -> pa.Table:
        """The row of a trial in these columns of a segment; an empty table if there is none."""
        schema = pa.schema([SEGMENT.field(name) for name in dict.fromkeys([*columns, *AGE])])
        found = [part for path in self._paths("trials") for part in self._find(path, trial, schema)]
        return _newest(found, schema).select(columns)

    def epochs(self, trials: Collection[str] | None = None) -> pa.Table:
        """The epochs of these trials, or of all."""
        columns = ["trial", *AGE, ROWS]
        if trials is not None and not trials:
            return EPOCHS.empty_table()
        if trials is not None and len(trials) == 1:
            return _unnest(self.trial(next(iter(trials)), columns))
        schema = pa.schema([SEGMENT.field(name) for name in columns])
        found = _newest(self._read_all("trials", schema), schema)
        if trials is not None:
            found = found.filter(pc.is_in(found["trial"], pa.array(trials, pa.string())))
        return _unnest(found)

    def members(self) -> pa.Table:
        """All rows of members, including repeated ones."""
        return pa.concat_tables([MEMBERS.empty_table(), *self._read_all("members", MEMBERS)])

    def _write(self, path: str, table: pa.Table) -> None:
        self.files.write(path, parquet(table, PACKED | {"row_group_size": ROW_GROUP}))
        if not identical(self._read(path, table.schema), table):
            raise RaysweepError(
                f"{path} in the store {self.files.uri} differs from what was written: the small files are kept."
            )

    def _paths(self, kind: str) -> list[str]:
        return [path for path in self.names(FOLDER) if path.startswith(f"{FOLDER}/{kind}-")]

    def _read_all(self, kind: str, schema: pa.Schema) -> list[pa.Table]:
        read = (self.or_note(partial(self._read, schema=schema), path) for path in self._paths(kind))
        return [table for table in read if table is not None]

    def _read(self, path: str, schema: pa.Schema) -> pa.Table:
        """The columns of the schema; those that an older segment lacks are null."""
        with self._opened(path) as file:
            table = conform(file.read(_known(schema, file)), schema)
            check_values(PurePosixPath(path).name.partition("-")[0], table)
            return table

    def _find(self, path: str, trial: str, schema: pa.Schema) -> Iterator[pa.Table]:
        """The row of a trial in a segment, if there is one: reads the ids first, then one row group."""
        with self._opened(path) as file:
            place = pc.index(file.read(["trial"])["trial"], trial).as_py()
            if place >= 0:
                group = file.read_row_group(place // ROW_GROUP, _known(schema, file))
                yield conform(group.slice(place % ROW_GROUP, 1), schema)

    @contextmanager
    def _opened(self, path: str) -> Iterator[pq.ParquetFile]:
        try:
            with self.files.open(path) as source:
                yield pq.ParquetFile(source)
        except DAMAGE as error:
            raise RaysweepError(
                f"{path} in the store {self.files.uri} is damaged, or not a file of raysweep ({error}): restore it "
                "from a copy, or delete it and run the sweep again, which trains its trials again."
            ) from error


def _known(schema: pa.Schema, file: pq.ParquetFile) -> list[str]:
    return [name for name in schema.names if name in file.schema_arrow.names]


def _newest(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """For every trial the row that counts: of the attempt that finished, else of the last one, whenever that was."""
    if len(tables) == 1:
        return tables[0]
    table = pa.concat_tables([schema.empty_table(), *tables])
    ages = {
        "ended": pc.is_in(table["status"], pa.array(("finished", "diverged"))),
        "attempt": pc.fill_null(table["attempts"], 0),
        "time": pc.fill_null(table["updated_at"].cast(pa.int64()), 0),
    }
    order = pc.sort_indices(pa.table(ages), [(name, "ascending") for name in ages])
    return last_of_each(["trial"], table.take(order))


def _nest(trials: pa.Table, epochs: pa.Table) -> pa.Table:
    """Every trial with its epochs as a list, ordered by id."""
    trials = trials.sort_by("trial")
    own = epochs.filter(pc.is_in(epochs["trial"], trials["trial"].combine_chunks()))
    own = last_of_each(("trial", "epoch"), own).sort_by([("trial", "ascending"), ("epoch", "ascending")])
    lengths = Counter(own["trial"].to_pylist())
    offsets = accumulate((lengths[trial] for trial in trials["trial"].to_pylist()), initial=0)
    rows = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), own.to_struct_array().combine_chunks())
    return pa.table([*trials.columns, rows.cast(SEGMENT.field(ROWS).type)], schema=SEGMENT).combine_chunks()


def _unnest(table: pa.Table) -> pa.Table:
    """The epochs of every trial, as rows."""
    rows = table[ROWS].combine_chunks().flatten()
    return conform(pa.Table.from_struct_array(rows), EPOCHS)
