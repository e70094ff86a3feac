"""What has been written so far, in an append-only file: a record that was not written whole is no record.

Every record carries its length and CRC-32, so the end that a kill or a full disk left behind is found and cut off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import RaysweepError

MAGIC = b"raysweep journal of writing images, 1\n"
HEAD = struct.Struct("<BII")
"""Before the content of each record: its kind, length and checksum."""
JOB, IMAGES, DONE = range(3)
"""Kinds of records: what is written how, some images that are stored, the manifests of all that is."""


@dataclass(frozen=True)
class Record:
    """One record, and where in the file it ends."""

    kind: int
    content: bytes
    end: int = 0

    def to_bytes(self) -> bytes:
        """As it lies in the file."""
        return HEAD.pack(self.kind, len(self.content), self._crc) + self.content

    @property
    def _crc(self) -> int:
        return zlib.crc32(self.content, self.kind)


class Journal:
    """The file, opened for more records."""

    def __init__(self, path: Path, end: int) -> None:
        """Go on after the records that end at byte `end`; what follows is cut off."""
        self._file = os.open(path, os.O_RDWR)
        self.cut(end)

    def cut(self, end: int) -> None:
        """Go on after the records that end at byte `end`."""
        self._end = end
        os.ftruncate(self._file, end)

    def add(self, records: Sequence[Record]) -> None:
        """Append records and have the disk hold them.

        Raises:
            OSError: no space, or a disk that fails. The journal is then as it was before.
        """
        view = memoryview(b"".join(record.to_bytes() for record in records))
        at = self._end
        try:
            while view:
                count = os.pwrite(self._file, view, at)
                view, at = view[count:], at + count
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end = at

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def begin_journal(path: Path, job: bytes, magic: bytes = MAGIC) -> Journal:
    """A journal with its first record; it is there whole or not at all. `magic`: first bytes, by which it is known.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(first_bytes(job, magic))
        file.flush()
        os.fsync(file.fileno())
    end = new.stat().st_size
    new.replace(path)
    return Journal(path, end)


def first_bytes(job: bytes, magic: bytes = MAGIC) -> bytes:
    """What a journal begins with."""
    return magic + Record(JOB, job).to_bytes()


def read_journal(path: Path, magic: bytes = MAGIC) -> Iterator[Record]:
    """The records that were written whole, the job first.

    Raises:
        RaysweepError: this is no journal.
    """
    return parse_journal(path.read_bytes(), str(path), magic)


def parse_journal(content: bytes, name: str, magic: bytes = MAGIC) -> Iterator[Record]:
    """The same of a journal's bytes; `name` is where they are from.

    Raises:
        RaysweepError: this is no journal.
    """
    records = _records(content, len(magic))
    first = next(records, None) if content.startswith(magic) else None
    if first is None or first.kind != JOB:
        raise RaysweepError(f"{name} is damaged or was not written by this raysweep.")
    yield first
    yield from records


def _records(content: bytes, at: int) -> Iterator[Record]:
    while at + HEAD.size <= len(content):
        kind, length, crc = HEAD.unpack_from(content, at)
        at += HEAD.size + length
        record = Record(kind, content[at - length : at], at)
        if at > len(content) or record._crc != crc:
            return
        yield record
