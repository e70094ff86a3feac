"""Image sets that are being written, in the folder `.writing` of their folder.

The images of a split are encoded in shards of consecutive images. Each is one NumPy archive with a table of the images
and their encoded bytes, renamed when it is whole: it is not encoded again. At the end the bytes of all shards are moved
to the files of the sets, and the tables stay.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.manifest import JOB_NAME, STAGING_NAME
from raysweep.disk.locks import LockedError, locked
from raysweep.disk.whole import replacing, write_whole
from raysweep.errors import RaysweepError
from raysweep.write.encode import Encoded, row_type
from raysweep.write.forms import Form

LOCK_NAME = "lock"
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile)
"""Errors of NumPy and zipfile with damaged archives."""


@dataclass(frozen=True)
class Job:
    """A description of the sets that are being written, kept as JSON."""

    options: Mapping[str, str]
    """Everything that must be the same for a later call to continue: source, sizes, decoders; under names for users."""
    forms: Mapping[str, Form]
    """Sizes and their encodings, `auto` replaced, by folder."""
    images: Mapping[str, int]
    """Number of images per split."""
    shard_images: int
    """Number of images per shard; the last shard of a split has the rest."""


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Lock and yield the staging folder of `folder`; if it has no job at the end, it is removed.

    Raises:
        RaysweepError: another process is writing to the folder, or the staging folder is a link.
        OSError: the folder cannot be written.
    """
    place = folder / STAGING_NAME
    try:
        place.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():  # what is behind it would be removed
            raise RaysweepError(f"{place} is a link, but unfinished work is kept in a folder there: remove the link.")
        with locked(place / LOCK_NAME, wait=False):
            try:
                yield place
            finally:
                if not (place / JOB_NAME).exists():
                    shutil.rmtree(place, ignore_errors=True)
    except LockedError as held:
        raise RaysweepError(
            f"{folder} is being written by another process ({held.owner}): wait until it has ended."
        ) from None
    finally:
        for path in (place, folder):  # after the lock is released: NFS keeps removed files that are open
            with suppress(OSError):
                path.rmdir()


class Staging:
    """The shards that are whole, and the files that are made from them at the end."""

    def __init__(self, place: Path, job: Job) -> None:
        """Use `begin` or `find`."""
        self.place = place
        self.job = job
        self.rows = {split: np.zeros(count, row_type(len(job.forms))) for split, count in job.images.items()}
        """A row for each image; zeros for images that have not been read."""
        self.bad: dict[str, dict[int, str]] = {split: {} for split in job.images}
        """Images that cannot be stored: the reason for each, by number."""
        self.count = 0
        """Number of images in whole shards, including those that cannot be stored."""
        self._whole: dict[str, set[int]] = {split: set() for split in job.images}

    @classmethod
    def begin(cls, place: Path, job: Job) -> Staging:
        """Start from nothing; whatever is in the folder is removed."""
        clear(place)
        (place / "shards").mkdir()
        write_whole(place / JOB_NAME, json.dumps(asdict(job), indent=1))
        return cls(place, job)

    @classmethod
    def find(cls, place: Path) -> Staging | None:
        """The work that an earlier process has left in the folder, if any.

        Raises:
            RaysweepError: the description of the job is damaged.
        """
        try:
            value = json.loads((place / JOB_NAME).read_text(encoding="utf-8"))
            forms = {name: Form(**form) for name, form in value["forms"].items()}
            staging = cls(place, Job(**value | {"forms": forms}))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RaysweepError(f"{place / JOB_NAME} is damaged or was not written by this raysweep.") from None
        for part in place.rglob("*.part"):
            part.unlink()
        for split in staging.rows:
            for indices in staging.shards(split):
                staging._load(split, indices)
        return staging

    def shards(self, split: str) -> list[range]:
        """The image numbers of all shards of a split, in order."""
        size, count = self.job.shard_images, self.job.images[split]
        return [range(first, min(first + size, count)) for first in range(0, count, size)]

    def missing(self) -> list[tuple[str, range]]:
        """The shards that are not whole."""
        return [
            (split, part) for split in self.rows for part in self.shards(split) if part[0] not in self._whole[split]
        ]

    def save(self, split: str, encoded: Encoded) -> None:
        """Write a shard.

        Raises:
            OSError: the disk is full or fails. The other shards are kept.
        """
        parts = {f"form{k}": np.frombuffer(part, np.uint8) for k, part in enumerate(encoded.data)}
        self._write(split, encoded.rows, encoded.reasons, **parts)
        self._note(split, encoded.rows, encoded.reasons)

    def _write(self, split: str, rows: NDArray[Any], reasons: Mapping[int, str], **parts: Any) -> None:
        with replacing(self._path(split, int(rows["index"][0]))) as path, path.open("wb") as file:
            np.savez(file, rows=rows, reasons=json.dumps(reasons), **parts)

    def _note(self, split: str, rows: NDArray[Any], reasons: Mapping[int, str]) -> None:
        first = int(rows["index"][0])
        self.rows[split][first : first + len(rows)] = rows
        self.bad[split].update(reasons)
        self._whole[split].add(first)
        self.count += len(rows)

    def _load(self, split: str, indices: range) -> None:
        """Note a shard if it is whole."""
        try:
            with self._path(split, indices[0]).open("rb") as file, np.load(file) as archive:
                rows, reasons = archive["rows"], json.loads(str(archive["reasons"]))
        except UNREADABLE:
            return
        if rows.dtype == self.rows[split].dtype and rows["index"].tolist() == list(indices):
            self._note(split, rows, {int(index): reason for index, reason in reasons.items()})

    def read(self, split: str, indices: range) -> list[NDArray[np.uint8]]:
        """The encoded bytes of a shard for each form; empty if they have been moved to the files.

        Raises:
            RaysweepError: the shard is damaged; it is removed.
        """
        path = self._path(split, indices[0])
        try:
            with path.open("rb") as file, np.load(file) as archive:  # checks their CRC-32
                return [archive[f"form{k}"] for k in range(len(archive.files) - 2)]
        except UNREADABLE as error:
            self._forget(split, indices)
            raise RaysweepError(
                f"{path} is damaged ({error}), and is removed: give the same command again to encode its images again."
            ) from None

    def discard(self, split: str, indices: range) -> None:
        """Delete the encoded bytes of a shard, which have been moved to the files; its table stays."""
        bad = {index: self.bad[split][index] for index in indices if index in self.bad[split]}
        self._write(split, self.rows[split][indices[0] : indices[-1] + 1], bad)

    def forget_bad(self) -> None:
        """Remove the shards with images that could not be stored, so that they are encoded again."""
        for split, bad in self.bad.items():
            for indices in self.shards(split):
                if not bad.keys().isdisjoint(indices):
                    self._forget(split, indices)

    def _forget(self, split: str, indices: range) -> None:
        self._path(split, indices[0]).unlink(missing_ok=True)
        self._whole[split].remove(indices[0])
        self.count -= len(indices)
        self.rows[split][indices[0] : indices[-1] + 1] = 0
        for index in indices:
            self.bad[split].pop(index, None)

    def _path(self, split: str, first: int) -> Path:
        return self.place / "shards" / f"{split}-{first:08}.npz"

    def folder(self, name: str) -> Path:
        """The folder in which the set of a form is assembled."""
        return self.place / ("finished" if self.is_finished else "sets") / (name or "main")

    @property
    def is_assembling(self) -> bool:
        """Whether the files of the sets have been begun, so that the sizes of stored images must not change."""
        return (self.place / "sets").exists()

    @property
    def is_finished(self) -> bool:
        """Whether all sets are complete and only have to be moved to their folders."""
        return (self.place / "finished").exists()

    def set_finished(self) -> None:
        """Record that all sets are complete."""
        (self.place / "sets").rename(self.place / "finished")

    @property
    def total(self) -> int:
        """Number of images of the source."""
        return sum(self.job.images.values())

    def pixel_bytes(self, form: int) -> int:
        """Decoded size of all stored images of a form together, in bytes."""
        stored = [rows["stored"][:, form] for rows in self.rows.values()]
        return 3 * sum(int((part["height"].astype(np.int64) * part["width"]).sum()) for part in stored)

    def good(self, split: str) -> NDArray[np.int64]:
        """Numbers of the images that are stored."""
        return np.flatnonzero((self.rows[split]["stored"]["size"] > 0).all(axis=1))


def clear(place: Path) -> None:
    """Empty a staging folder except for its lock; first the job, without which the other files mean nothing."""
    (place / JOB_NAME).unlink(missing_ok=True)
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK_NAME:
            path.unlink()
