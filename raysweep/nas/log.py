"""The log of a search: what was proposed and how it ended, one Arrow record an event, in an append-only file.

Every record carries its length and CRC-32. A search is rebuilt from its log and goes on; an end that a kill left half
written is cut off. Whoever has the log open holds a lock on it: one process at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from raysweep.disk.journal import HEAD, Journal, Record, begin_journal, first_bytes, parse_journal
from raysweep.disk.locks import LockedError, locked
from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"raysweep log of a search, 1\n"
EVENT = 1
"""Kind of every record but the first, which is the schema with the search's identity as metadata."""


@dataclass(frozen=True)
class Event:
    """A proposal that was made, one that ended, or an attempt at one whose worker was lost."""

    kind: Literal["asked", "told", "lost"]
    number: int
    """Of the proposal, counted from 0."""
    clock_s: float
    """When, since the search began; virtual seconds in a simulation."""
    key: str | None = None
    """Of an asked one: equal architectures share it."""
    architecture: str | None = None
    """Of an asked one, to be read by people."""
    fidelity: float | None = None
    """Of an asked one, epochs."""
    status: str | None = None
    value: float | None = None
    """Of a told one, unless it failed."""
    cost_s: float | None = None
    epochs: float | None = None
    macs: float | None = None

    def to_bytes(self) -> bytes:
        """One Arrow record batch of one row, without its schema."""
        import pyarrow as pa

        columns = [pa.array([value], field.type) for value, field in zip(vars(self).values(), schema(), strict=True)]
        content: bytes = pa.RecordBatch.from_arrays(columns, schema=schema()).serialize().to_pybytes()
        return content


@cache
def schema() -> pa.Schema:
    """Columns of a log: the fields of `Event`."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return pa.schema(
        [("kind", text), ("number", pa.int64()), ("clock_s", number), ("key", text), ("architecture", text)]
        + [("fidelity", number), ("status", text)]
        + [(name, number) for name in ("value", "cost_s", "epochs", "macs")]
    )


class Log(Protocol):
    """A log that is open for more events."""

    @property
    def events(self) -> Sequence[Event]:
        """Those it held when it was opened."""
        ...

    def add(self, event: Event) -> None:
        """Append an event, for good.

        Raises:
            RaysweepError: it cannot be written; the log is as it was before.
        """
        ...

    def flush(self) -> None:
        """Have what was appended kept, where that has been put off.

        Raises:
            RaysweepError: it cannot be written.
        """
        ...

    def close(self) -> None:
        """Let others have it."""
        ...


OpenLog = Callable[[Mapping[str, Any]], Log]
"""Goes on with a log, or begins it, of the search that these words describe."""


class EventLog:
    """A log in a file: appended to, and locked for as long as it is open."""

    def __init__(self, path: Path, search: Mapping[str, Any]) -> None:
        """Go on with the log at `path`, or begin it; `search` says which search it is of.

        Raises:
            RaysweepError: another process has it, it is of another search, damaged, or cannot be written.
        """
        self.path = path
        with ExitStack() as opened:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                opened.enter_context(locked(path.with_name(f"{path.name}.lock"), wait=False))
                self._journal = self._open(json.loads(canonical_json(search)))
            except LockedError as held:
                raise RaysweepError(
                    f"{path} is in use by another process ({held.owner}): wait for it, or name another log."
                ) from None
            except OSError as error:
                raise RaysweepError(f"{path} cannot be written: {error.strerror}. Name another log.") from None
            opened.callback(self._journal.close)
            self._opened = opened.pop_all()

    def _open(self, search: Mapping[str, Any]) -> Journal:
        if not self.path.exists():
            begin_journal(self.path, _head(search), MAGIC).close()
        self.events, end = parse_events(self.path.read_bytes(), str(self.path), search)
        return Journal(self.path, end)

    def add(self, event: Event) -> None:
        """Append an event and have the disk hold it.

        Raises:
            RaysweepError: no space, or a disk that fails; the log is as it was before.
        """
        try:
            self._journal.add([Record(EVENT, event.to_bytes())])
        except OSError as error:
            raise RaysweepError(
                f"{self.path} cannot be written: {error.strerror}. The search can be resumed."
            ) from None

    def flush(self) -> None:
        """The disk holds all of it."""

    def close(self) -> None:
        """Let others have it."""
        self._opened.close()


def begin_bytes(search: Mapping[str, Any]) -> bytes:
    """A log without events."""
    return first_bytes(_head(search), MAGIC)


def event_bytes(event: Event) -> bytes:
    """An event as a record of a log."""
    return Record(EVENT, event.to_bytes()).to_bytes()


def _head(search: Mapping[str, Any]) -> bytes:
    head: bytes = schema().with_metadata({"search": canonical_json(search)}).serialize().to_pybytes()
    return head


def parse_events(content: bytes, name: str, search: Mapping[str, Any]) -> tuple[list[Event], int]:
    """The events of a log of this search, and at which byte the last whole one ends; `name` is where they are from.

    Raises:
        RaysweepError: this is no log, it is damaged, or of another search.
    """
    stored, events, end = _parse(content, name)
    for key in search.keys() | stored.keys():
        if stored.get(key) != search.get(key):
            raise RaysweepError(
                f"{name} is the log of a search with {key} {stored.get(key)!r}, not {search.get(key)!r}: "
                "name another log, or ask for that one."
            )
    return events, end


def _parse(content: bytes, name: str) -> tuple[dict[str, Any], list[Event], int]:
    import pyarrow as pa

    first, *records = parse_journal(content, name, MAGIC)
    found = pa.ipc.read_schema(pa.BufferReader(first.content))
    if found.names != schema().names:
        raise RaysweepError(f"{name} is the log of another version of raysweep: name another log.")
    end = records[-1].end if records else first.end
    _check_end(content, end, name)
    rows = (pa.ipc.read_record_batch(pa.BufferReader(record.content), found) for record in records)
    events = [Event(**row) for batch in rows for row in batch.to_pylist()]
    return json.loads(found.metadata[b"search"]), events, end


def _check_end(content: bytes, end: int, name: str) -> None:
    """What follows the last whole record is one record that was not finished, or somebody has damaged the file."""
    rest = content[end:]
    if len(rest) >= HEAD.size and end + HEAD.size + HEAD.unpack_from(rest)[1] < end + len(rest):
        raise RaysweepError(
            f"{name} is damaged at byte {end:,} of {end + len(rest):,}, and not at its end: restore a copy, or "
            f"cut it there with `truncate -s {end} {name}` to go on from there."
        )


def read_log(path: Path) -> pa.Table:
    """A log as a table, one row an event, whoever has it open.

    Raises:
        RaysweepError: this is no log, or it is damaged.
    """
    import pyarrow as pa

    search, events, _ = _parse(path.read_bytes(), str(path))
    described = schema().with_metadata({"search": canonical_json(search)})
    return pa.Table.from_pylist([asdict(event) for event in events], schema=described)
