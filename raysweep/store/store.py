"""Results in a folder or on object storage: small Arrow files, each written as a whole, readable while a sweep runs.

    store.json                       version of the schema
    trials/TRIAL.parquet             one row
    epochs/TRIAL.parquet             one row per epoch
    members/STUDY-DIGEST.parquet     the studies and variants that trials belong to, one file per distinct request
    claims/TRIAL.*.json              the process that trains a trial now, see `claims`
    checkpoints/TRIAL.pt             state of a trial that has not ended, or whose checkpoint is kept
    compacted/                       many of these files merged into one, see `compacted`
    init_stats/TRIAL.parquet         one row per layer and update, for the first updates of a trial
    confusions/TRIAL.parquet         counts of class and prediction in the last test of a trial that is kept
    searches/NAME.log                proposals and results of an architecture search
    searches/NAME.parquet            evaluations of an architecture search so far, one row each
    searches/NAME.pt                 weights of a supernet after its last epoch
    searches/NAME.error              why the training of a supernet failed
    rankings/NAME.parquet            architectures scored with a supernet and trained individually
    decisions/STUDY-DIGEST.jsonl     questions of `raysweep decide`, with results and verdicts, see `decision_log`
    data/DIGEST.json                 manifests of the image sets

Damaged and foreign files are listed in `problems` and left out by methods that read many files. A method that reads one
file raises an error instead.
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
from raysweep.safe import command
from raysweep.store.arrow import PACKED, PLAIN, conform, last_of_each, parquet, table_of
from raysweep.store.compacted import Segments
from raysweep.store.files import NO_PATIENCE, Files, Patience, Stamp
from raysweep.store.reading import DAMAGE, check_rows, is_ours, without_credentials
from raysweep.store.schema import CONFUSION, EPOCHS, EVALUATIONS, INIT_STATS, MEMBERS, RANKING, SCHEMA_VERSION, TRIAL

T = TypeVar("T")
READERS = 16
"""Files read at the same time: the time to read small files is latency, not bandwidth."""
MARK = "store.json"
FEW = 200
"""Number of rows up to which an uncompressed file is smaller and faster to read."""


class Store:
    """A results store; open it with `Store.open`.

    All methods raise a `RaysweepError` if the store cannot be reached. Writing replaces a whole file: if it fails, the
    previous content is still there.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.segments = Segments(files, self.listed, self._or_note)
        self.problems: list[str] = []
        """Messages about files that could not be read so far, and trials that were left out."""

    @property
    def uri(self) -> str:
        """The address of the store."""
        return self.files.uri

    @classmethod
    def open(cls, uri: str, create: bool = False, patience: Patience = NO_PATIENCE) -> Store:
        """The store at a folder or URI.

        Args:
            uri: Address of the store.
            create: Create the store if it does not exist, and check that it can be written.
            patience: How long to wait for a store that is unavailable, now and later.

        Raises:
            RaysweepError: not a valid address, no store there, a newer version, or a store that cannot be written.
        """
        store = cls(Files.at(uri, patience))
        if patience.seconds:
            store.files.require(MARK)
        if not store.files.exists(MARK):
            if not create:
                run = command("raysweep", "run", "STUDY", "--store", uri)
                raise RaysweepError(f"no results in {uri}: check the address, or create them with `{run}`.")
            store.files.write(MARK, json.dumps({"schema_version": SCHEMA_VERSION}).encode())
        elif create:
            store.files.probe()
        store._check_version()
        return store

    @classmethod
    def open_if_exists(cls, uri: str) -> Store | None:
        """The store at a folder or URI; None if it does not exist."""
        return cls.open(uri) if Files.at(uri).exists(MARK) else None

    def write_trial(self, row: Mapping[str, Any]) -> None:
        """Replace the row of a trial."""
        self._write(f"trials/{row['trial']}", table_of([row], TRIAL))

    def trial(self, trial: str) -> dict[str, Any] | None:
        """The row of a trial; None if there is none."""
        # The small file first: it is deleted only once a segment holds it.
        table = self._parsed(partial(_rows, TRIAL), f"trials/{trial}.parquet")
        found = self.segments.trial(trial) if table is None else table
        return next(iter(without_credentials(found).to_pylist()), None)

    def trials(self, columns: Sequence[str] = TRIAL.names) -> pa.Table:
        """The rows of all trials, ordered by id, in these columns; `trial` must be one of them."""
        small = self._read_all(self._names("trials"), TRIAL).select(columns)
        found = _and_others(small, self.segments.trials(columns)).sort_by("trial").combine_chunks()
        return without_credentials(found)

    def write_epochs(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the epochs of a trial."""
        self._write(f"epochs/{trial}", table_of(rows, EPOCHS))

    def epochs(self, trials: Iterable[str] | None = None) -> pa.Table:
        """The epochs of these trials, or of all, ordered by trial and epoch."""
        ids = None if trials is None else set(trials)
        small = self._read_all(self._paths("epochs", ids), EPOCHS)
        others = None if ids is None else ids - set(small["trial"].to_pylist())
        found = _and_others(small, self.segments.epochs(others)) if others is None or others else small
        return last_of_each(("trial", "epoch"), found).sort_by([("trial", "ascending"), ("epoch", "ascending")])

    def write_members(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the variants of one study that trials belong to; writing the same rows again changes nothing."""
        if rows:
            self._write(f"members/{rows[0]['study']}-{digest(rows)}", table_of(rows, MEMBERS))

    def members(self, each_searcher: bool = False) -> pa.Table:
        """The studies and variants of all trials, each (study, variant, trial) once, or once for each searcher."""
        small = self._read_all(self._names("members"), MEMBERS)
        keys = ("study", "variant", "trial", *(["searcher"] if each_searcher else []))
        return last_of_each(keys, pa.concat_tables([self.segments.members(), small]))

    def write_init_stats(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the statistics of the first updates of a trial."""
        self._write(f"init_stats/{trial}", table_of(rows, INIT_STATS))

    def init_stats(self, trials: Iterable[str] | None = None) -> pa.Table:
        """The statistics of the first updates of these trials, or of all."""
        return self._read_all(self._paths("init_stats", trials), INIT_STATS)

    def write_confusion(self, trial: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the counts of class and prediction in the last test of a trial."""
        table = table_of(({"trial": trial, **row} for row in rows), CONFUSION)
        self._write(f"confusions/{trial}", table, PACKED if len(rows) > FEW else PLAIN)

    def confusion(self, trial: str) -> pa.Table:
        """The counts of class and prediction in the last test of a trial; empty if they were not kept."""
        return self._read_all(self._paths("confusions", [trial]), CONFUSION)

    def with_confusion(self) -> set[str]:
        """The trials that have such counts."""
        return {PurePosixPath(name).stem for name in self._names("confusions")}

    def write_evaluations(self, search: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the evaluations of an architecture search."""
        self._write(f"searches/{search}", table_of(rows, EVALUATIONS), PACKED if len(rows) > FEW else PLAIN)

    def evaluations(self) -> pa.Table:
        """The evaluations of all architecture searches, ordered by search and completion."""
        found = self._read_all(self._names("searches"), EVALUATIONS)
        return found.sort_by([("search", "ascending"), ("place", "ascending")])

    def write_ranking(self, name: str, ranking: pa.Table) -> None:
        """Replace a ranking: a table with the columns of `RANKING`, and possibly others."""
        names = pa.repeat(pa.scalar(name), len(ranking))
        self._write(f"rankings/{name}", ranking.append_column("ranking", names), {})

    def rankings(self) -> pa.Table:
        """All rankings, with their names in the column `ranking`; columns that a ranking lacks are null."""
        schema = RANKING.append(pa.field("ranking", pa.string()))
        tables = self._parse_all(self._names("rankings"), partial(_ranking, schema))
        return pa.concat_tables([schema.empty_table(), *tables.values()], promote_options="permissive")

    def find_trial(self, prefix: str) -> str:
        """The only trial id with this prefix, which may have quotes around it, as in a CSV file.

        Raises:
            RaysweepError: no trial or several trials have this prefix.
        """
        prefix = prefix.strip().strip("\"'`")
        known = set(self.members()["trial"].to_pylist()) | set(self.segments.trials(["trial"])["trial"].to_pylist())
        files = {PurePosixPath(name).stem: name for name in self._names("trials")}
        matches = sorted(trial for trial in known | files.keys() if trial.startswith(prefix))
        if len(matches) > 1:  # copies of files are not among them once they are read
            read = self.read_each([files[trial] for trial in matches if trial in files], TRIAL)
            matches = [trial for trial in matches if trial in known or files[trial] in read]
        if not matches:
            results = command("raysweep", "results", "STUDY", "--store", self.uri)
            raise RaysweepError(f"no trial {prefix!r} in {self.uri}: list the ids with `{results}`.")
        if len(matches) > 1:
            first = ", ".join(matches[:5])
            raise RaysweepError(f"{len(matches)} trials begin with {prefix!r}, e.g. {first}: use more digits.")
        return matches[0]

    def write_checkpoint(self, trial: str, content: bytes) -> None:
        """Replace the checkpoint of a trial."""
        self.files.write(f"checkpoints/{trial}.pt", content)

    def read_checkpoint(self, trial: str) -> bytes | None:
        """The checkpoint of a trial; None if there is none."""
        return self.files.find(f"checkpoints/{trial}.pt")

    def has_checkpoint(self, trial: str) -> bool:
        """Whether a trial has a checkpoint."""
        return self.files.exists(f"checkpoints/{trial}.pt")

    def with_checkpoint(self) -> set[str]:
        """The trials that have a checkpoint, by one listing."""
        return {PurePosixPath(name).stem for name in self.files.stamps("checkpoints", ".pt")}

    def delete_checkpoint(self, trial: str) -> None:
        """Delete the checkpoint of a trial if there is one."""
        self.files.delete(f"checkpoints/{trial}.pt")

    def write_manifest(self, manifest: Manifest) -> None:
        """Record the manifest of an image set."""
        self.files.write(f"data/{manifest.digest}.json", manifest.to_json().encode())

    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the image sets by digest."""
        found = self._parse_all(self.listed("data", ".json"), _manifest)
        return {manifest.digest: manifest for manifest in found.values()}

    def read_each(self, names: Iterable[str], schema: pa.Schema) -> dict[str, pa.Table]:
        """The rows of these files by name; deleted, damaged and foreign files are left out."""
        return self._parse_all(names, partial(_rows, schema))

    def _write(self, name: str, table: pa.Table, options: Mapping[str, Any] = PLAIN) -> None:
        if not is_ours(name):
            raise RaysweepError(f"{name!r} is no name for a file of results: use letters, digits and any of _ . + = -")
        self.files.write(f"{name}.parquet", parquet(table, options))

    def listed(self, folder: str, suffix: str = ".parquet") -> dict[str, Stamp]:
        """The present stamps of the files in a folder by name, sorted; foreign files are left out."""
        found = self.files.stamps(folder, suffix)
        for name in sorted(name for name, stamp in found.items() if stamp.size is None or not is_ours(name)):
            del found[name]
            self.note(f"{name} in the store {self.uri} is not a file of raysweep: move it elsewhere.")
        return dict(sorted(found.items()))

    def _names(self, folder: str) -> list[str]:
        return list(self.listed(folder))

    def _paths(self, folder: str, trials: Iterable[str] | None) -> list[str]:
        """The existing files of these trials, or of all; for a few trials the folder is not listed."""
        paths = None if trials is None else {f"{folder}/{trial}.parquet" for trial in trials}
        if paths is not None and len(paths) <= READERS:
            return sorted(path for path in paths if self.files.exists(path))
        return [path for path in self._names(folder) if paths is None or path in paths]

    def _read_all(self, names: Sequence[str], schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *self.read_each(names, schema).values()])

    def _parsed(self, parse: Callable[[str, bytes], T], name: str) -> T | None:
        """The parsed content of a file; None if the file does not exist."""
        content = self.files.find(name)
        try:
            return None if content is None else parse(name, content)
        except DAMAGE as error:
            raise RaysweepError(
                f"{name} in the store {self.uri} is damaged, or not a file of raysweep ({error}): delete it "
                "or move it elsewhere."
            ) from error

    def _parse_all(self, names: Iterable[str], parse: Callable[[str, bytes], T]) -> dict[str, T]:
        names = list(names)
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(partial(self._or_note, partial(self._parsed, parse)), names)
            return {name: content for name, content in zip(names, found, strict=True) if content is not None}

    def _or_note(self, read: Callable[[str], T | None], name: str) -> T | None:
        try:
            return read(name)
        except RaysweepError as error:
            self.note(str(error))
            return None

    def note(self, problem: str) -> None:
        """Add a message to `problems`, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _check_version(self) -> None:
        try:
            version = int(json.loads(self.files.find(MARK) or "")["schema_version"])
        except DAMAGE:
            raise RaysweepError(
                f'{MARK} in {self.uri} is damaged: it should hold {{"schema_version": N}}, where N is {SCHEMA_VERSION} '
                "for this version of raysweep."
            ) from None
        if version > SCHEMA_VERSION:
            raise RaysweepError(
                f"the store {self.uri} was written by a newer raysweep (schema {version}, this one reads "
                f"{SCHEMA_VERSION}): upgrade raysweep, or use another --store."
            )


def _rows(schema: pa.Schema, name: str, content: bytes) -> pa.Table:
    # `pq.read_table` would be slower: it sets up a data set for each file.
    table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    return check_rows(name, conform(table, schema))


def _ranking(schema: pa.Schema, name: str, content: bytes) -> pa.Table:
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    table.select(schema.names)  # raises a KeyError for another kind of file
    return check_rows(name, table)


def _manifest(name: str, content: bytes) -> Manifest:
    manifest = Manifest.from_json(content.decode())
    if manifest.digest != PurePosixPath(name).stem:
        raise ValueError(f"it is that of the images {manifest.digest!r}")
    return manifest


def _and_others(small: pa.Table, packed: pa.Table) -> pa.Table:
    """The rows of small files, and those of compacted trials without a small file."""
    others = packed.filter(pc.invert(pc.is_in(packed["trial"], small["trial"].combine_chunks())))
    return pa.concat_tables([small, others])
