"""Where the log of an architecture search lies in a store: `searches/NAME.log`, the same bytes in any store.

In a folder it is appended to and locked, see `raysweep.nas.log`. Object storage can neither append nor lock: there the
whole log is put anew with each event, one PUT, and two drivers that carry out the same search are not kept apart; the
slower one notices at its next event and stops. A log of a thousand evaluations has about half a megabyte, of ENAS'
cells two. A `lazy` log is put when it is flushed or closed: what is lost with its process must be such that it can be
done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json
from raysweep.nas.log import Event, EventLog, OpenLog, begin_bytes, event_bytes, parse_events
from raysweep.store.files import Files

FOLDER = "searches"


def log_of(files: Files, name: str, lazy: bool = False) -> OpenLog:
    """What opens the log of the search of that name in a store; `lazy` where an object is put with each event."""
    path = f"{FOLDER}/{name}.log"
    if isinstance(files.filesystem, pafs.LocalFileSystem):
        return partial(EventLog, Path(files.root) / path)
    return partial(ObjectLog, files, path, lazy=lazy)


class ObjectLog:
    """A log that is one object, put whole with each event, or with each flush."""

    def __init__(self, files: Files, path: str, search: Mapping[str, Any], *, lazy: bool = False) -> None:
        """Go on with the log, or begin it; `search` says which search it is of.

        Raises:
            RaysweepError: it is of another search, damaged, or cannot be reached.
        """
        search = json.loads(canonical_json(search))
        stored = files.find(path)
        content = begin_bytes(search) if stored is None else stored
        self.events, end = parse_events(content, f"{files.uri}/{path}", search)
        self._files, self._path, self._lazy = files, path, lazy
        self._content = bytearray(content[:end])
        self._kept = end
        self._size = 0 if stored is None else len(stored)

    def add(self, event: Event) -> None:
        """Append an event, and put the log unless it is lazy.

        Raises:
            RaysweepError: another driver has written to it, or it cannot be written; the log is as it was before.
        """
        before = len(self._content)
        self._content += event_bytes(event)
        try:
            if not self._lazy:
                self.flush()
        except BaseException:
            del self._content[before:]
            raise

    def flush(self) -> None:
        """Put the log if there is more of it than was put.

        Raises:
            RaysweepError: another driver has written to it, or it cannot be written.
        """
        if len(self._content) == self._kept:
            return
        if (self._files.size(self._path) or 0) != self._size:
            raise RaysweepError(
                f"{self._files.uri}/{self._path} has been written by another driver: one at a time carries out a "
                "search. Stop one of them, and run the same command again."
            )
        self._files.write(self._path, bytes(self._content))
        self._kept = self._size = len(self._content)

    def close(self) -> None:
        """Put what has not been; nothing else is held.

        Raises:
            RaysweepError: as `flush`.
        """
        self.flush()
