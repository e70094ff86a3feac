"""Results in a folder or on object storage: small Arrow files, each written whole, readable while a sweep runs.

    store.json                       version of the schema
    trials/TRIAL.parquet             one row
    epochs/TRIAL.parquet             one row an epoch
    members/STUDY-DIGEST.parquet     what trials stand for, one file a distinct request
    checkpoints/TRIAL.pt             state of a trial that has not ended
    data/DIGEST.json                 manifests of the image sets

A file appears under its name only when it is whole: written beside, flushed to disk and renamed; on object storage one
PUT. What a killed writer leaves is never read. A file that cannot be read (damage from outside) is listed in `problems`
and the others are read.
"""

from __future__ import annotations

import errno
import io
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raysweep.data.manifest import Manifest
from raysweep.errors import RaysweepError
from raysweep.identity import digest
from raysweep.results.schema import EPOCHS, MEMBERS, SCHEMA_VERSION, TRIAL

READERS = 16
"""Files read at once: small files cost latency, not bandwidth."""
MARK = "store.json"


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
        if not self._exists(path):
            return None
        row: dict[str, Any] = self._read_table(path, TRIAL).to_pylist()[0]
        return row

    def trials(self) -> pa.Table:
        """Every trial's row."""
        return self._read_all(self._list("trials"), TRIAL)

    def write_epochs(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace a trial's epochs.

        Raises:
            RaysweepError: the store cannot be written; the old rows are still whole.
        """
        self._write(f"epochs/{trial}.parquet", _parquet(rows, EPOCHS))

    def epochs(self, trials: Iterable[str] | None = None) -> pa.Table:
        """The epochs of these trials, or of all; trials without any have no rows."""
        wanted = None if trials is None else {f"epochs/{trial}.parquet" for trial in trials}
        paths = [path for path in self._list("epochs") if wanted is None or path in wanted]
        return self._read_all(paths, EPOCHS)

    def write_members(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add what trials of one study stand for; the same rows again change nothing.

        Raises:
            RaysweepError: the store cannot be written.
        """
        if rows:
            self._write(f"members/{rows[0]['study']}-{digest(rows)}.parquet", _parquet(rows, MEMBERS))

    def members(self) -> pa.Table:
        """What every trial stands for, each (study, variant, trial) once."""
        rows = self._read_all(self._list("members"), MEMBERS).to_pylist()
        return _table({(row["study"], row["variant"], row["trial"]): row for row in rows}.values(), MEMBERS)

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
        """Remove a trial's checkpoint, if there is one."""
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(f"checkpoints/{trial}.pt"))

    def write_manifest(self, manifest: Manifest) -> None:
        """Keep what an image set was.

        Raises:
            RaysweepError: the store cannot be written.
        """
        self._write(f"data/{manifest.digest}.json", manifest.to_json().encode())

    # Files.

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _exists(self, name: str) -> bool:
        return bool(self.filesystem.get_file_info(self._path(name)).type == pafs.FileType.File)

    def _list(self, folder: str) -> list[str]:
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        names = (info.base_name for info in self.filesystem.get_file_info(selector))
        return sorted(f"{folder}/{name}" for name in names if name.endswith(".parquet") and not name.startswith("."))

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.filesystem.create_dir(self._path(PurePosixPath(name).parent.as_posix()), recursive=True)
            if isinstance(self.filesystem, pafs.LocalFileSystem):
                _replace(Path(self._path(name)), content)
            else:
                with self.filesystem.open_output_stream(self._path(name)) as stream:
                    stream.write(content)
        except OSError as error:
            raise self._cannot("write", name, error) from error

    def _read(self, name: str) -> bytes:
        try:
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
                return content
        except OSError as error:
            raise self._cannot("read", name, error) from error

    def _cannot(self, verb: str, name: str, error: OSError) -> RaysweepError:
        full = " The disk is full: free some space; everything written before is whole." if _is_full(error) else ""
        return RaysweepError(f"cannot {verb} {name} in the store {self.uri}: {error}.{full}")

    def _read_table(self, name: str, schema: pa.Schema) -> pa.Table:
        content = self._read(name)
        try:
            return _conform(pq.read_table(io.BytesIO(content)), schema)
        except (pa.ArrowException, OSError) as error:
            raise RaysweepError(f"{name} in the store {self.uri} is damaged ({error}): delete it.") from error

    def _read_all(self, names: Sequence[str], schema: pa.Schema) -> pa.Table:
        with ThreadPoolExecutor(READERS) as readers:
            tables = readers.map(lambda name: self._read_or_note(name, schema), names)
            return pa.concat_tables([schema.empty_table(), *(table for table in tables if table is not None)])

    def _read_or_note(self, name: str, schema: pa.Schema) -> pa.Table | None:
        try:
            return self._read_table(name, schema)
        except RaysweepError as error:
            self.problems.append(str(error))
            return None

    def _probe(self) -> None:
        name = f".probe-{uuid.uuid4().hex}"
        self._write(name, b"")
        self.filesystem.delete_file(self._path(name))

    def _check_version(self) -> None:
        try:
            version = json.loads(self._read(MARK))["schema_version"]
        except (ValueError, KeyError, TypeError):
            raise RaysweepError(f"{MARK} in {self.uri} is damaged: it should hold the version of the schema.") from None
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
    except (pa.ArrowInvalid, OSError) as error:
        raise RaysweepError(f"{uri} is no address of a results store ({error}): use a folder or s3://.") from error
    if filesystem.get_file_info(root).type == pafs.FileType.File:
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


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def _parquet(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    pq.write_table(_table(rows, schema), sink, compression="zstd")
    return sink.getvalue()


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of this version in its order: what an older file lacks is null, what it has besides is left out."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
