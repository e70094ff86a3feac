"""An image set under way, in the folder `.writing` of its own: files that grow, and the journal of what is in them.

The journal never says more than is on the disk: at a checkpoint first the files are synced, then the records of the
images in them are. A kill or a full disk loses what came after the last checkpoint; the next run cuts that off.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.manifest import SPLITS
from raysweep.disk.journal import DONE, IMAGES, Journal, Record, begin_journal, read_journal
from raysweep.write.beton_writer import BetonWriter
from raysweep.write.encode import Encoded, row_type
from raysweep.write.forms import Form

CHECKPOINT_S = 5.0
"""Seconds between checkpoints: about so much of the workers' time a kill loses."""
_HEAD = struct.Struct("<BI")


@dataclass(frozen=True)
class Job:
    """What is written how, as the journal's first record keeps it."""

    options: Mapping[str, Any]
    """What must be the same when it is gone on with: source, forms as asked for, decoders. By what a user calls it."""
    forms: Mapping[str, Form]
    """By folder, the encoding decided."""
    images: Mapping[str, int]
    """Of each split."""

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Job:
        """From JSON."""
        value = json.loads(content)
        return cls(value["options"], {name: Form(**form) for name, form in value["forms"].items()}, value["images"])


@dataclass(frozen=True)
class Left:
    """What an earlier process has left."""

    job: Job
    records: list[Record]
    """The first is the job's."""

    @property
    def manifests(self) -> dict[str, Any] | None:
        """Those of the sets, by folder, if all is written and has only to be put in its place."""
        last = self.records[-1]
        return json.loads(last.content) if last.kind == DONE else None

    @property
    def count(self) -> int:
        """Images that have been read, stored or bad."""
        unpacked = [_unpack(record, len(self.job.forms)) for record in self.records if record.kind == IMAGES]
        seen = {split: [rows["index"] for where, rows, _ in unpacked if where == split] for split in SPLITS}
        return sum(len(np.unique(np.concatenate(indices))) for indices in seen.values() if indices)

    def some_rows(self, count: int) -> list[tuple[str, int, int]]:
        """Split, number and source checksum of at most so many images that are stored, the last record's among them."""
        records = [record for record in self.records if record.kind == IMAGES]
        chosen = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int).tolist()
        found: list[tuple[str, int, int]] = []
        for k in chosen:
            split, rows, _ = _unpack(records[k], len(self.job.forms))
            stored = rows[rows["stored"]["size"].all(axis=1)]
            found += [(split, int(row["index"]), int(row["source"])) for row in stored[-1:]]
        return found


def find_left(place: Path) -> Left | None:
    """What an earlier process has left in a staging folder.

    Raises:
        RaysweepError: something that is no journal.
    """
    if not (place / "journal").exists():
        return None
    records = list(read_journal(place / "journal"))
    return Left(Job.from_bytes(records[0].content), records)


class Staging:
    """An image set under way."""

    def __init__(self, place: Path, job: Job, journal: Journal) -> None:
        """Use `begin` or `go_on`."""
        self.place = place
        self.job = job
        self.rows = {split: np.zeros(count, row_type(len(job.forms))) for split, count in job.images.items()}
        self.seen = {split: np.zeros(count, bool) for split, count in job.images.items()}
        self.bad: dict[str, dict[int, str]] = {split: {} for split in job.images}
        """Why images could not be stored, by their numbers."""
        self._pixel_bytes = np.zeros(len(job.forms), np.int64)
        self.kept = 0
        """Images that the journal knows of."""
        self._journal = journal
        self._unsaved: list[Record] = []
        self._saver = ThreadPoolExecutor(1, "raysweep-checkpoint")
        self._saving: tuple[Future[None], list[Record]] | None = None
        self._saved_at = time.monotonic()
        for name in job.forms:
            (place / (name or "main")).mkdir(exist_ok=True)
        self.files = {
            split: [BetonWriter(self.path(name, split), count) for name in job.forms]
            for split, count in job.images.items()
        }

    @classmethod
    def begin(cls, place: Path, job: Job) -> Staging:
        """An empty one, in place of whatever is there."""
        clear(place)
        return cls(place, job, begin_journal(place / "journal", job.to_bytes()))

    @classmethod
    def go_on(cls, place: Path, left: Left) -> Staging:
        """Go on with what an earlier process has left."""
        first, *records = left.records
        staging = cls(place, left.job, Journal(place / "journal", left.records[-1].end))
        records = records[: staging._whole(records)]
        staging._journal.cut([first, *records][-1].end)
        for record in records:
            staging._note(*_unpack(record, len(left.job.forms)))
        staging.kept = staging.count
        for split, files in staging.files.items():
            for k, file in enumerate(files):
                file.go_on(staging.rows[split]["stored"][:, k])
        return staging

    def _whole(self, records: Sequence[Record]) -> int:
        """The first how many records agree with the ends of all files; the rest is looked at when the set is whole."""
        keep, of_split = len(records), dict[str, list[int]]()
        for k, record in enumerate(records):
            of_split.setdefault(_unpack(record, len(self.job.forms))[0], []).append(k)
        while broken := [at[-1] for at in of_split.values() if at and not self._is_whole(records[at[-1]])]:
            keep = min(broken)
            for at in of_split.values():
                while at and at[-1] >= keep:
                    at.pop()
        return keep

    def _is_whole(self, record: Record) -> bool:
        """Whether the images of a record are in the files, as its checksums say."""
        split, rows, _ = _unpack(record, len(self.job.forms))
        return all(
            zlib.crc32(file.read(int(entry["start"]), int(entry["size"]))) == entry["crc"]
            for k, file in enumerate(self.files[split])
            for entry in rows["stored"][:, k]
        )

    def path(self, name: str, split: str) -> Path:
        """The file of a form and split."""
        return self.place / (name or "main") / f"{split}.beton"

    @property
    def count(self) -> int:
        """Images that have been read, stored or bad."""
        return int(sum(seen.sum() for seen in self.seen.values()))

    @property
    def total(self) -> int:
        """Images of the source."""
        return sum(self.job.images.values())

    def pixel_bytes(self, name: str) -> int:
        """Bytes that the images of a form have as pixels."""
        return int(self._pixel_bytes[list(self.job.forms).index(name)])

    def good(self, split: str) -> NDArray[np.int64]:
        """Numbers of the images that are stored."""
        return np.flatnonzero((self.rows[split]["stored"]["size"] > 0).all(axis=1))

    def add(self, split: str, encoded: Encoded) -> None:
        """Append images to the files and note them.

        Raises:
            OSError: no space, or a disk that fails. What was added before is kept.
        """
        rows = encoded.rows
        for k, (file, data) in enumerate(zip(self.files[split], encoded.data, strict=True)):
            stored = rows["stored"][:, k]
            there = stored["size"] > 0
            stored["start"][there] = file.add(stored["size"][there].tolist(), data)
        self._note(split, rows, encoded.reasons)
        self._unsaved.append(_pack(split, rows, encoded.reasons))
        if time.monotonic() - self._saved_at >= CHECKPOINT_S:
            self._checkpoint()

    def _note(self, split: str, rows: NDArray[Any], reasons: Mapping[int, str]) -> None:
        indices = rows["index"].astype(np.int64)
        sides = rows["stored"]["height"].astype(np.int64) * rows["stored"]["width"]
        self._pixel_bytes += 3 * sides.sum(axis=0)
        self.rows[split][indices] = rows
        self.seen[split][indices] = True
        for index in indices[rows["stored"]["size"].all(axis=1)].tolist() if self.bad[split] else ():
            self.bad[split].pop(index, None)
        self.bad[split].update(reasons)

    def _checkpoint(self) -> None:
        """Begin one, unless the last is still under way: encoding goes on while the disk works."""
        if self._saving and not self._saving[0].done():
            return
        self._settle()
        records, self._unsaved = self._unsaved, []
        self._saving = self._saver.submit(self._save, records, self.count), records
        self._saved_at = time.monotonic()

    def _settle(self) -> None:
        if self._saving:
            saving, records = self._saving
            try:
                saving.result()
            except OSError:
                self._saving, self._unsaved[:0] = None, records
                raise
            self._saving = None

    def _save(self, records: Sequence[Record], count: int) -> None:
        for files in self.files.values():
            for file in files:
                file.sync()
        self._journal.add(records)
        self.kept = count

    def save(self) -> None:
        """Have the disk hold all that was added.

        Raises:
            OSError: it cannot.
        """
        self._settle()
        self._save(self._unsaved, self.count)
        self._unsaved = []

    def finish(self, split: str, labels: NDArray[np.int64]) -> None:
        """Make whole files of those of a split, `labels` being those of all its images.

        Raises:
            OSError: no space, or a disk that fails. It can be tried again.
        """
        good = self.good(split)
        for k, file in enumerate(self.files[split]):
            file.finish(self.rows[split]["stored"][good, k], labels[good])

    def set_done(self, manifests: Mapping[str, Any]) -> None:
        """Note that all is written, and what its manifests are.

        Raises:
            OSError: no space, or a disk that fails.
        """
        self._journal.add([Record(DONE, json.dumps(manifests).encode())])

    def close(self) -> None:
        """Close all files."""
        self._saver.shutdown()
        self._journal.close()
        for files in self.files.values():
            for file in files:
                file.close()


def _unpack(record: Record, forms: int) -> tuple[str, NDArray[Any], dict[int, str]]:
    """Split, rows, and reasons of those that could not be stored."""
    number, count = _HEAD.unpack_from(record.content)
    rows = np.frombuffer(record.content, row_type(forms), count, _HEAD.size)
    reasons = json.loads(record.content[_HEAD.size + rows.nbytes :])
    return SPLITS[number], rows, {int(index): reason for index, reason in reasons.items()}


def _pack(split: str, rows: NDArray[Any], reasons: Mapping[int, str]) -> Record:
    content = _HEAD.pack(SPLITS.index(split), len(rows)) + rows.tobytes() + json.dumps(dict(reasons)).encode()
    return Record(IMAGES, content)


def clear(place: Path) -> None:
    """Remove what is in a staging folder but the lock; the journal first, without which the rest is nothing."""
    (place / "journal").unlink(missing_ok=True)
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
