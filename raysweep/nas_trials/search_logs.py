"""The log of an architecture search in a store: `searches/NAME.log`, the same bytes in any store.

In a folder it is appended to and locked, see `raysweep.nas.log`. Object storage can neither append nor lock, so the
whole log is written with each event, one PUT. Two drivers of the same search are not locked out there; the slower one
notices at its next event and stops. A `lazy` log is written only when it is flushed or closed, so it must be possible
to repeat the work whose events are lost with a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.nas.log import Event, EventLog, OpenLog, parse_log
from raysweep.store.files import Files

FOLDER = "searches"


def log_of(files: Files, name: str, lazy: bool = False) -> OpenLog:
    """A function that opens the log of the search of that name in a store; `lazy` matters only for object storage."""
    path = f"{FOLDER}/{name}.log"
    if local := files.local(path):
        return partial(EventLog, local)
    return partial(ObjectLog, files, path, lazy=lazy)


class ObjectLog:
    """A log in one object, which is written whole with each event or, if lazy, with each flush."""

    def __init__(self, files: Files, path: str, search: Mapping[str, Any], *, lazy: bool = False) -> None:
        """Continue the log, or begin it; `search` is the identity of the search.

        Raises:
            RaysweepError: it belongs to another search, is damaged, or cannot be reached.
        """
        stored = files.find(path) or b""
        found = parse_log(stored, f"{files.uri}/{path}", search)
        self.events = found.events
        self._files, self._path, self._lazy = files, path, lazy
        self._content = bytearray(found.whole)
        self._written = len(found.whole)
        self._size = len(stored)

    def add(self, event: Event) -> None:
        """Append an event, and write the log unless it is lazy.

        Raises:
            RaysweepError: another driver has written to it, or it cannot be written; the log is unchanged.
        """
        before = len(self._content)
        self._content += event.to_bytes()
        try:
            if not self._lazy:
                self.flush()
        except BaseException:
            del self._content[before:]
            raise

    def flush(self) -> None:
        """Write the log if it has new events.

        Raises:
            RaysweepError: another driver has written to it, or it cannot be written.
        """
        if len(self._content) == self._written:
            return
        if (self._files.size(self._path) or 0) != self._size:
            raise RaysweepError(
                f"{self._files.uri}/{self._path} was written by another driver, but only one may carry out a search: "
                "stop the other one, and run the same command again."
            )
        self._files.write(self._path, bytes(self._content))
        self._written = self._size = len(self._content)

    def close(self) -> None:
        """Write new events; there is nothing to release.

        Raises:
            RaysweepError: the same as `flush`.
        """
        self.flush()
