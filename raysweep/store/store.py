"""Results in a folder or on object storage: small Arrow files, each written whole, readable while a sweep runs.

    store.json                       version of the schema
    trials/TRIAL.parquet             one row
    epochs/TRIAL.parquet             one row an epoch
    members/STUDY-DIGEST.parquet     what trials stand for, one file a distinct request
    checkpoints/TRIAL.pt             state of a trial that has not ended, or was to be kept
    compacted/                       many of these in one file, see `segments`
    init_stats/TRIAL.parquet         layers in the first updates of a trial, one row a layer and update
    searches/NAME.log                what an architecture search proposed and was told, see `search_log`
    searches/NAME.parquet            its evaluations so far, one row each, for whoever reads
    searches/NAME.pt                 weights that its architectures share, after their last epoch
    searches/NAME.error              why a search with shared weights has failed
    rankings/NAME.parquet            architectures scored with a supernet and trained individually
    data/DIGEST.json                 manifests of the image sets

Where many files are read, one that cannot be (damage from outside) is listed in `problems` and the others are read;
where one is asked for, it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.data.manifest import Manifest
from raysweep.errors import RaysweepError
from raysweep.identity import digest
from raysweep.store.arrow import PACKED, PLAIN, conform, last_of_each, parquet, table_of
from raysweep.store.compacted import Segments
from raysweep.store.files import FAILURES, NO_PATIENCE, Files, Patience
from raysweep.store.schema import EPOCHS, EVALUATIONS, INIT_STATS, MEMBERS, RANKING, SCHEMA_VERSION, TRIAL

T = TypeVar("T")
READERS = 16
"""Files read at once: small files cost latency, not bandwidth."""
MARK = "store.json"
FEW = 200
"""Rows of a file up to which it is smaller and faster to read without compression."""


class Store:
    """One results store; open it with `Store.open`."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.segments = Segments(files, self._or_note)
        self.problems: list[str] = []
        """Files that could not be read so far, with the reason."""

    @property
    def uri(self) -> str:
        """Where the store is."""
        return self.files.uri

    @classmethod
    def open(cls, uri: str, create: bool = False, patience: Patience = NO_PATIENCE) -> Store:
        """The store at a folder or URI, which may be away for as long as `patience` says.

        Raises:
            RaysweepError: there is none (and `create` is false), it cannot be written (where `create` is true), it was
                written by a newer raysweep, or the address is not one.
        """
        store = cls(Files.at(uri, patience))
        if patience.seconds:
            store.files.require(MARK)
        if not store.files.exists(MARK):
            if not create:
                raise RaysweepError(f"no results in {uri}: `raysweep run STUDY --store {uri}` makes them.")
            store.files.write(MARK, json.dumps({"schema_version": SCHEMA_VERSION}).encode())
        elif create:
            store.files.probe()
        store._check_version()
        return store

    @classmethod
    def open_if_exists(cls, uri: str) -> Store | None:
        """The store there, or nothing where no store has been made yet.

        Raises:
            RaysweepError: there is one that cannot be read.
        """
        return cls.open(uri) if Files.at(uri).exists(MARK) else None

    def write_trial(self, row: Mapping[str, Any]) -> None:
        """Replace a trial's row.

        Raises:
            RaysweepError: the store cannot be written; the old row is still whole.
        """
        self.files.write(f"trials/{row['trial']}.parquet", parquet(table_of([row], TRIAL), PLAIN))

    def trial(self, trial: str) -> dict[str, Any] | None:
        """A trial's row, if it has one.

        Raises:
            RaysweepError: its file is damaged.
        """
        # The small file first: it is deleted only once a segment holds it.
        table = self._read_table(f"trials/{trial}.parquet", TRIAL)
        rows = (self.segments.trial(trial) if table is None else table).to_pylist()
        return next(iter(rows), None)

    def trials(self, columns: Sequence[str] = TRIAL.names) -> pa.Table:
        """Every trial's row, in these columns (`trial` among them), in the order of the ids."""
        small = self._read_all(self._names("trials"), TRIAL).select(columns)
        return _and_others(small, self.segments.trials(columns)).sort_by("trial").combine_chunks()

    def write_epochs(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace a trial's epochs.

        Raises:
            RaysweepError: the store cannot be written; the old rows are still whole.
        """
        self.files.write(f"epochs/{trial}.parquet", parquet(table_of(rows, EPOCHS), PLAIN))

    def epochs(self, trials: Iterable[str] | None = None) -> pa.Table:
        """The epochs of these trials, or of all, each once and in order; trials without any have no rows."""
        wanted = None if trials is None else set(trials)
        small = self._read_all(self._paths("epochs", wanted), EPOCHS)
        others = None if wanted is None else wanted - set(small["trial"].to_pylist())
        found = _and_others(small, self.segments.epochs(others)) if others is None or others else small
        return last_of_each(("trial", "epoch"), found).sort_by([("trial", "ascending"), ("epoch", "ascending")])

    def write_members(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add what trials of one study stand for; the same rows again change nothing.

        Raises:
            RaysweepError: the store cannot be written.
        """
        if rows:
            self.files.write(
                f"members/{rows[0]['study']}-{digest(rows)}.parquet", parquet(table_of(rows, MEMBERS), PLAIN)
            )

    def members(self) -> pa.Table:
        """What every trial stands for, each (study, variant, trial) once."""
        small = self._read_all(self._names("members"), MEMBERS)
        return last_of_each(("study", "variant", "trial"), pa.concat_tables([self.segments.members(), small]))

    def write_init_stats(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace what was measured in the first updates of a trial.

        Raises:
            RaysweepError: the store cannot be written; the old rows are still whole.
        """
        self.files.write(f"init_stats/{trial}.parquet", parquet(table_of(rows, INIT_STATS), PLAIN))

    def init_stats(self, trials: Iterable[str] | None = None) -> pa.Table:
        """What was measured in the first updates of these trials, or of all; those not measured have no rows."""
        return self._read_all(self._paths("init_stats", trials), INIT_STATS)

    def write_evaluations(self, search: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the evaluations of an architecture search.

        Raises:
            RaysweepError: the store cannot be written; the old rows are still whole.
        """
        self.files.write(
            f"searches/{search}.parquet", parquet(table_of(rows, EVALUATIONS), PACKED if len(rows) > FEW else PLAIN)
        )

    def evaluations(self) -> pa.Table:
        """The evaluations of all architecture searches, in the order of completion within each."""
        return self._read_all(self._names("searches"), EVALUATIONS).sort_by(
            [("search", "ascending"), ("place", "ascending")]
        )

    def write_ranking(self, name: str, ranking: pa.Table) -> None:
        """Replace a ranking: a table with the columns of `RANKING`, and others.

        Raises:
            RaysweepError: the store cannot be written; the old ranking is still whole.
        """
        self.files.write(
            f"rankings/{name}.parquet", parquet(ranking.append_column("ranking", _same(name, ranking)), {})
        )

    def rankings(self) -> pa.Table:
        """All rankings, each by its name in `ranking`; a column of its own that others have is null."""
        names = self._names("rankings")
        tables = [table for name in names if (table := self._or_note(self._read_ranking, name)) is not None]
        return pa.concat_tables([_ranked().empty_table(), *tables], promote_options="permissive")

    def find_trial(self, prefix: str) -> str:
        """The one trial id that begins like this.

        Raises:
            RaysweepError: none does, or several do.
        """
        known = {PurePosixPath(path).stem for path in self._names("trials")} | set(self.members()["trial"].to_pylist())
        known |= set(self.segments.trials(["trial"])["trial"].to_pylist())
        matches = sorted(trial for trial in known if trial.startswith(prefix))
        if len(matches) != 1:
            found = f"{len(matches)} trials begin with {prefix!r}: {', '.join(matches[:5])}" if matches else ""
            raise RaysweepError(found or f"no trial {prefix!r} in {self.uri}: ids are in `raysweep results STUDY`.")
        return matches[0]

    def write_checkpoint(self, trial: str, content: bytes) -> None:
        """Replace a trial's checkpoint.

        Raises:
            RaysweepError: the store cannot be written; the old checkpoint is still whole.
        """
        self.files.write(f"checkpoints/{trial}.pt", content)

    def read_checkpoint(self, trial: str) -> bytes | None:
        """A trial's checkpoint, if there is one.

        Raises:
            RaysweepError: it cannot be read.
        """
        path = f"checkpoints/{trial}.pt"
        return self.files.read(path) if self.files.exists(path) else None

    def has_checkpoint(self, trial: str) -> bool:
        """Whether a trial's checkpoint is there.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        return self.files.exists(f"checkpoints/{trial}.pt")

    def delete_checkpoint(self, trial: str) -> None:
        """Remove a trial's checkpoint, if there is one.

        Raises:
            RaysweepError: it cannot be removed.
        """
        self.files.delete(f"checkpoints/{trial}.pt")

    def write_manifest(self, manifest: Manifest) -> None:
        """Keep what an image set was.

        Raises:
            RaysweepError: the store cannot be written.
        """
        self.files.write(f"data/{manifest.digest}.json", manifest.to_json().encode())

    def manifests(self) -> dict[str, Manifest]:
        """The image sets by digest."""
        read = (self._or_note(self._read_manifest, name) for name in self.files.names("data", ".json"))
        return {manifest.digest: manifest for manifest in read if manifest is not None}

    def _names(self, folder: str) -> list[str]:
        return self.files.names(folder, ".parquet")

    def _paths(self, folder: str, trials: Iterable[str] | None) -> list[str]:
        """The files of these trials that are in a folder, or all of them; few are looked for, many are listed."""
        wanted = None if trials is None else {f"{folder}/{trial}.parquet" for trial in trials}
        if wanted is not None and len(wanted) <= READERS:
            return sorted(path for path in wanted if self.files.exists(path))
        return [path for path in self._names(folder) if wanted is None or path in wanted]

    def _read_table(self, name: str, schema: pa.Schema) -> pa.Table | None:
        """The rows of a small file, or nothing where it is not there, or no longer."""
        if (content := self.files.find(name)) is None:
            return None
        try:
            # Not through `pq.read_table`, which sets up a data set for each file.
            return conform(pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False), schema)
        except FAILURES as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error

    def _read_ranking(self, name: str) -> pa.Table:
        try:
            table = pq.ParquetFile(pa.BufferReader(self.files.read(name))).read()
            table.select(_ranked().names)
        except (pa.ArrowException, KeyError) as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error
        return table

    def _read_manifest(self, name: str) -> Manifest:
        try:
            return Manifest.from_json(self.files.read(name).decode())
        except ValueError as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error

    def read_each(self, names: Iterable[str], schema: pa.Schema) -> dict[str, pa.Table]:
        """The rows of these small files by name; those that are gone or damaged are left out, the latter noted."""
        names = list(names)
        read = partial(self._read_table, schema=schema)
        with ThreadPoolExecutor(READERS) as readers:
            tables = readers.map(lambda name: self._or_note(read, name), names)
            return {name: table for name, table in zip(names, tables, strict=True) if table is not None}

    def _read_all(self, names: Sequence[str], schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *self.read_each(names, schema).values()])

    def _or_note(self, read: Callable[[str], T], name: str) -> T | None:
        try:
            return read(name)
        except RaysweepError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None

    def _check_version(self) -> None:
        try:
            version = int(json.loads(self.files.read(MARK))["schema_version"])
        except (ValueError, KeyError, TypeError):
            raise RaysweepError(
                f'{MARK} in {self.uri} is damaged: it should hold {{"schema_version": N}}. If the results are of this '
                f"raysweep, N is {SCHEMA_VERSION}."
            ) from None
        if version > SCHEMA_VERSION:
            raise RaysweepError(
                f"the store {self.uri} was written by a newer raysweep (schema {version}; this one knows "
                f"{SCHEMA_VERSION}): upgrade raysweep, or use another --store."
            )


def _ranked() -> pa.Schema:
    """Columns that every ranking has."""
    return RANKING.append(pa.field("ranking", pa.string()))


def _same(value: str, table: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(value), len(table))


def _and_others(small: pa.Table, packed: pa.Table) -> pa.Table:
    """The rows of small files, and those of trials that have none."""
    others = packed.filter(pc.invert(pc.is_in(packed["trial"], small["trial"].combine_chunks())))
    return pa.concat_tables([small, others])
