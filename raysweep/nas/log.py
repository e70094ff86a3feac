"""The log of a search: what was proposed and how it ended, as JSON Lines in an append-only file.

The first line holds the identity of the search, every other line one event. A search is rebuilt from its log and
continues from there. A last line that a kill left unfinished is ignored and cut off. An open log is locked: one process
at a time can use it. Logs of earlier versions (`raysweep.nas.old_log`) are converted when they are opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from raysweep.disk.lines import LineFile
from raysweep.disk.locks import LockedError
from raysweep.errors import RaysweepError, cannot_write
from raysweep.identity import canonical_json
from raysweep.nas.old_log import is_old, parse_old

VERSION = {"raysweep search log": 2}
"""The beginning of the first line. Version 1 is that of `raysweep.nas.old_log`."""


@dataclass(frozen=True)
class Event:
    """A proposal that was made, one that ended, or an attempt at one whose worker was lost."""

    kind: Literal["asked", "told", "lost"]
    number: int
    """The number of the proposal, counted from 0."""
    clock_s: float
    """Seconds since the search began; virtual seconds in a simulation."""
    key: str | None = None
    """Asked: the key that equal architectures share."""
    architecture: str | None = None
    """Asked: the architecture as text, for people to read."""
    fidelity: float | None = None
    """Asked: epochs, or minibatches with a supernet."""
    status: str | None = None
    """Told: how it ended."""
    value: float | None = None
    """Told: its value, unless it failed."""
    cost_s: float | None = None
    epochs: float | None = None
    macs: float | None = None

    def to_bytes(self) -> bytes:
        """One line of the log. Fields that are None are left out, and infinity is written as text."""
        row = {name: value for name, value in vars(self).items() if value is not None}
        return _line({name: str(value) if value == math.inf else value for name, value in row.items()})

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        """The event of one parsed line.

        Raises:
            TypeError: a field that events do not have, or a missing one.
            ValueError: text that is not a number.
        """
        typed: dict[str, Any] = {name: float(value) if name in NUMBERS else value for name, value in row.items()}
        return cls(**typed)


NUMBERS = {field.name for field in fields(Event) if "float" in str(field.type)}


class Log(Protocol):
    """A log that is open for more events."""

    @property
    def events(self) -> Sequence[Event]:
        """The events that it held when it was opened."""

    def add(self, event: Event) -> None:
        """Append an event permanently.

        Raises:
            RaysweepError: it cannot be written; the log is unchanged.
        """

    def flush(self) -> None:
        """Write events whose writing has been put off.

        Raises:
            RaysweepError: they cannot be written.
        """

    def close(self) -> None:
        """Release the log for other processes."""


OpenLog = Callable[[Mapping[str, Any]], Log]
"""Opens, or begins, the log of the search with this identity."""


class Parsed(NamedTuple):
    """The content of a log."""

    search: dict[str, Any]
    events: list[Event]
    whole: bytes
    """The log without an unfinished last line, in the present format."""


class EventLog:
    """A log in a file, locked for as long as it is open."""

    def __init__(self, path: Path, search: Mapping[str, Any]) -> None:
        """Continue the log at `path`, or begin it; `search` is the identity of the search.

        Raises:
            RaysweepError: another process uses it, it belongs to another search, is damaged, or cannot be written.
        """
        self.path = path
        self.events: Sequence[Event] = ()

        def whole(content: bytes) -> bytes:
            found = parse_log(content, str(path), search)
            self.events = found.events
            return found.whole

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = LineFile(path, whole)
        except LockedError as held:
            raise RaysweepError(
                f"{path} is in use by another process ({held.owner}): wait for it, or name another log."
            ) from None
        except OSError as error:
            raise RaysweepError(cannot_write(path, error)) from None

    def add(self, event: Event) -> None:
        """Append an event and wait until the disk holds it.

        Raises:
            RaysweepError: no space, or a failing disk; the log is unchanged.
        """
        try:
            self._file.append(event.to_bytes())
        except OSError as error:
            raise RaysweepError(f"{cannot_write(self.path, error)} The search can be resumed.") from None

    def flush(self) -> None:
        """Does nothing: the disk holds every event."""

    def close(self) -> None:
        """Release the log for other processes."""
        self._file.close()


def parse_log(content: bytes, name: str, search: Mapping[str, Any]) -> Parsed:
    """The content of a log of this search; an empty one is begun. `name` is its path, for messages.

    Raises:
        RaysweepError: this is not a log, it is damaged, or it belongs to another search.
    """
    identity = json.loads(canonical_json(search))
    head = _line(VERSION | {"search": identity})
    if head.startswith(content):  # empty, or killed while the first line was written
        return Parsed(identity, [], head)
    found = _parse(content, name)
    for key in identity.keys() | found.search.keys():
        if found.search.get(key) != identity.get(key):
            raise RaysweepError(
                f"{name} is the log of a search with {key} {found.search.get(key)!r}, not {identity.get(key)!r}: "
                "name another log, or repeat that search."
            )
    return found


def _parse(content: bytes, name: str) -> Parsed:
    if is_old(content):
        search, rows = parse_old(content, name)
        events = [Event.from_row(row) for row in rows]
        return Parsed(search, events, b"".join([_line(VERSION | {"search": search}), *(e.to_bytes() for e in events)]))
    first, *lines = content.splitlines(keepends=True) or [b""]
    search = _search(first, name)
    events, end = [], len(first)
    for number, line in enumerate(lines, 2):
        event = _event(line)
        if event is None and number <= len(lines):
            raise RaysweepError(
                f"{name} is damaged in line {number} of {len(lines) + 1}: restore a copy, or keep the lines before "
                f"with `head -n {number - 1}` to continue from there."
            )
        if event is not None:
            events.append(event)
            end += len(line)
    return Parsed(search, events, content[:end])


def _search(first: bytes, name: str) -> dict[str, Any]:
    try:
        head = json.loads(first)
        if first.endswith(b"\n") and head.items() >= VERSION.items():
            search: dict[str, Any] = head["search"]
            return search
    except (ValueError, AttributeError, KeyError):
        pass
    raise RaysweepError(f"{name} is not a search log of this version of raysweep, or it is damaged: name another log.")


def _event(line: bytes) -> Event | None:
    try:
        return Event.from_row(json.loads(line)) if line.endswith(b"\n") else None
    except (ValueError, TypeError, AttributeError):
        return None


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
