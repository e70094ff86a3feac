"""Results in a folder or on object storage: small Arrow files, each written whole, readable while a sweep runs.

    store.json                       version of the schema
    trials/TRIAL.parquet             one row
    epochs/TRIAL.parquet             one row an epoch
    members/STUDY-DIGEST.parquet     what trials stand for, one file a distinct request
    checkpoints/TRIAL.pt             state of a trial that has not ended
    data/DIGEST.json                 manifests of the image sets

A file appears under its name only when it is whole: written beside, flushed to disk and renamed; on object storage one
PUT. What a killed writer leaves is never read. Where many files are read, one that cannot be (damage from outside) is
listed in `problems` and the others are read; where one is asked for, it is an error.
"""

from __future__ import annotations

import errno
import io
import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raysweep.data.manifest import Manifest
from raysweep.errors import RaysweepError
from raysweep.identity import digest
from raysweep.results.schema import EPOCHS, MEMBERS, SCHEMA_VERSION, TRIAL

T = TypeVar("T")
FAILURES = (OSError, pa.ArrowException)
"""What a file system and a damaged file raise."""
READERS = 16
"""Files read at once: small files cost latency, not bandwidth."""
MARK = "store.json"
# Rows are few and files many: dictionaries, statistics, compression and a second copy of the schema make such a file
# larger and four times as slow to read.
PLAIN: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}


class Store:
    """One results store; open it with `Store.open`."""

    def __init__(self, uri: str, filesystem: pafs.FileSystem, root: str) -> None:
        self.uri = uri
        self.filesystem = filesystem
        self.root = root
        self.problems: list[str] = []
        """Files that could not be read so far, with the reason."""

    @classmethod
    def open(cls, uri: str, create: bool = False) -> Store:
        """The store at a folder or URI.

        Raises:
            RaysweepError: there is none (and `create` is false), it cannot be written (where `create` is true), it was
                written by a newer raysweep, or the address is not one.
        """
        store = cls(*_resolve(uri))
        if not store._exists(MARK):
            if not create:
                raise RaysweepError(f"no results in {uri}: `raysweep run STUDY --store {uri}` makes them.")
            store._write(MARK, json.dumps({"schema_version": SCHEMA_VERSION}).encode())
        elif create:
            store._probe()
        store._check_version()
        return store

    @classmethod
    def open_if_exists(cls, uri: str) -> Store | None:
        """The store there, or nothing where no store has been made yet.

        Raises:
            RaysweepError: there is one that cannot be read.
        """
        return cls.open(uri) if cls(*_resolve(uri))._exists(MARK) else None

    def write_trial(self, row: Mapping[str, Any]) -> None:
        """Replace a trial's row.

        Raises:
            RaysweepError: the store cannot be written; the old row is still whole.
        """
        self._write(f"trials/{row['trial']}.parquet", _parquet([row], TRIAL))

    def trial(self, trial: str) -> dict[str, Any] | None:
        """A trial's row, if it has one.

        Raises:
            RaysweepError: its file is damaged.
        """
        path = f"trials/{trial}.parquet"
        rows = self._read_table(path, TRIAL).to_pylist() if self._exists(path) else []
        return next(iter(rows), None)

    def trials(self) -> pa.Table:
        """Every trial's row."""
        return self._read_all(self._list("trials"), TRIAL).combine_chunks()

    def write_epochs(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace a trial's epochs.

        Raises:
            RaysweepError: the store cannot be written; the old rows are still whole.
        """
        self._write(f"epochs/{trial}.parquet", _parquet(rows, EPOCHS))

    def epochs(self, trials: Iterable[str] | None = None) -> pa.Table:
        """The epochs of these trials, or of all, each once; trials without any have no rows."""
        wanted = None if trials is None else {f"epochs/{trial}.parquet" for trial in trials}
        paths = [path for path in self._list("epochs") if wanted is None or path in wanted]
        return _last_of_each(("trial", "epoch"), self._read_all(paths, EPOCHS))

    def write_members(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add what trials of one study stand for; the same rows again change nothing.

        Raises:
            RaysweepError: the store cannot be written.
        """
        if rows:
            self._write(f"members/{rows[0]['study']}-{digest(rows)}.parquet", _parquet(rows, MEMBERS))

    def members(self) -> pa.Table:
        """What every trial stands for, each (study, variant, trial) once."""
        return _last_of_each(("study", "variant", "trial"), self._read_all(self._list("members"), MEMBERS))

    def find_trial(self, prefix: str) -> str:
        """The one trial id that begins like this.

        Raises:
            RaysweepError: none does, or several do.
        """
        known = {PurePosixPath(path).stem for path in self._list("trials")} | set(self.members()["trial"].to_pylist())
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
        self._write(f"checkpoints/{trial}.pt", content)

    def read_checkpoint(self, trial: str) -> bytes | None:
        """A trial's checkpoint, if there is one.

        Raises:
            RaysweepError: it cannot be read.
        """
        path = f"checkpoints/{trial}.pt"
        return self._read(path) if self._exists(path) else None

    def delete_checkpoint(self, trial: str) -> None:
        """Remove a trial's checkpoint, if there is one.

        Raises:
            RaysweepError: it cannot be removed.
        """
        self._delete(f"checkpoints/{trial}.pt")

    def write_manifest(self, manifest: Manifest) -> None:
        """Keep what an image set was.

        Raises:
            RaysweepError: the store cannot be written.
        """
        self._write(f"data/{manifest.digest}.json", manifest.to_json().encode())

    def manifests(self) -> dict[str, Manifest]:
        """The image sets by digest."""
        read = (self._or_note(self._read_manifest, name) for name in self._list("data", ".json"))
        return {manifest.digest: manifest for manifest in read if manifest is not None}

    # Files.

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _exists(self, name: str) -> bool:
        try:
            return bool(self.filesystem.get_file_info(self._path(name)).type == pafs.FileType.File)
        except FAILURES as error:
            raise self._cannot("look up", name, error) from error

    def _list(self, folder: str, suffix: str = ".parquet") -> list[str]:
        try:
            infos = self.filesystem.get_file_info(pafs.FileSelector(self._path(folder), allow_not_found=True))
        except FAILURES as error:
            raise self._cannot("list", folder, error) from error
        names = (info.base_name for info in infos)
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))

    def _write(self, name: str, content: bytes) -> None:
        try:
            try:
                self._put(name, content)
            except FileNotFoundError:  # the folder is made once, not looked for at every write
                self.filesystem.create_dir(self._path(PurePosixPath(name).parent.as_posix()), recursive=True)
                self._put(name, content)
        except FAILURES as error:
            raise self._cannot("write", name, error) from error

    def _put(self, name: str, content: bytes) -> None:
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            _replace(Path(self._path(name)), content)
        else:
            with self.filesystem.open_output_stream(self._path(name)) as stream:
                stream.write(content)

    def _read(self, name: str) -> bytes:
        try:
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
                return content
        except FAILURES as error:
            raise self._cannot("read", name, error) from error

    def _delete(self, name: str) -> None:
        try:
            with suppress(FileNotFoundError):
                self.filesystem.delete_file(self._path(name))
        except FAILURES as error:
            raise self._cannot("delete", name, error) from error

    def _cannot(self, verb: str, name: str, error: Exception) -> RaysweepError:
        full = " The disk is full: free some space; everything written before is whole." if _is_full(error) else ""
        return RaysweepError(f"cannot {verb} {name} in the store {self.uri}: {error}.{full}")

    def _read_table(self, name: str, schema: pa.Schema) -> pa.Table:
        content = self._read(name)
        try:
            # Not through `pq.read_table`, which sets up a data set for each file.
            return _conform(pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False), schema)
        except FAILURES as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error

    def _read_manifest(self, name: str) -> Manifest:
        try:
            return Manifest.from_json(self._read(name).decode())
        except ValueError as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error

    def _read_all(self, names: Sequence[str], schema: pa.Schema) -> pa.Table:
        with ThreadPoolExecutor(READERS) as readers:
            tables = readers.map(lambda name: self._or_note(partial(self._read_table, schema=schema), name), names)
            return pa.concat_tables([schema.empty_table(), *(found for found in tables if found is not None)])

    def _or_note(self, read: Callable[[str], T], name: str) -> T | None:
        try:
            return read(name)
        except RaysweepError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None

    def _probe(self) -> None:
        name = f".probe-{uuid.uuid4().hex}"
        self._write(name, b"")
        self._delete(name)

    def _check_version(self) -> None:
        try:
            version = int(json.loads(self._read(MARK))["schema_version"])
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


def _resolve(uri: str) -> tuple[str, pafs.FileSystem, str]:
    try:
        if "://" in uri:
            filesystem, root = pafs.FileSystem.from_uri(uri)
        else:
            uri = str(Path(uri).expanduser().absolute())
            filesystem, root = pafs.LocalFileSystem(), uri
        is_file = filesystem.get_file_info(root).type == pafs.FileType.File
    except FAILURES as error:
        raise RaysweepError(
            f"{uri} is no address of a results store, or it cannot be reached ({error}): use a folder, or "
            "s3://BUCKET/FOLDER with its credentials."
        ) from error
    if is_file:
        raise RaysweepError(f"{uri} is a file: a results store is a folder.")
    return uri, filesystem, root.rstrip("/")


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def _parquet(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    pq.write_table(_table(rows, schema), sink, **PLAIN)
    return sink.getvalue()


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of this version in its order: what an older file lacks is null, what it has besides is left out."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _last_of_each(keys: Sequence[str], table: pa.Table) -> pa.Table:
    """The last row of every combination of keys, in one chunk: a writer that repeats a row corrects it."""
    numbered = table.select(keys).append_column("row", pa.array(range(len(table)), pa.int64()))
    rows = numbered.group_by(list(keys)).aggregate([("row", "max")])["row_max"]
    return table.combine_chunks().take(rows.sort())
