"""The log of a question that `raysweep decide` answers: `decisions/NAME.jsonl`, one JSON object a line.

The first line is the question, with the settings it was asked with. Then come the choices made before training, each
result in the order of its arrival, each verdict when it was reached, and each stop. The whole file is written with each
line, in a folder as on object storage: a killed process leaves the last complete version. Of two processes that write
the same log, the slower one notices at its next line and stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.store.files import Files
from raysweep.store.reading import DAMAGE

FOLDER = "decisions"
RATE_MARK = "depends on the learning rate"
"""Mark of a verdict that turns at another rate."""
LONGER = "at twice the length"
HOLDS, FADES, TURNS = "holds", "fades", "turns"
"""What becomes of a gain at twice the length."""
VERSION = {"raysweep decide": 1}
Row = dict[str, Any]


class DecisionLog:
    """The lines of one log; a new one is written with its second line."""

    def __init__(self, files: Files, name: str, head: Mapping[str, Any]) -> None:
        """Continue the log of that name, or begin it.

        Raises:
            RaysweepError: it is damaged, was begun with other settings, or cannot be reached.
        """
        self._files, self._path = files, f"{FOLDER}/{name}.jsonl"
        stored = files.find(self._path) or b""
        self._size = len(stored)
        self.rows = self._parsed(stored)
        first = json.loads(_line(VERSION | dict(head)))
        if not self.rows:
            self.rows = [first]
        self._check_same(first)

    @property
    def is_new(self) -> bool:
        """Whether nothing was written to it before."""
        return not self._size

    def of_kind(self, kind: str) -> Iterator[Row]:
        """The lines that have this key."""
        return (row for row in self.rows if kind in row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a line; it is in the store before this returns.

        Raises:
            RaysweepError: another process has written to the log, or it cannot be written.
        """
        if (self._files.size(self._path) or 0) != self._size:
            raise RaysweepError(
                f"{self._files.uri}/{self._path} was written by another process that decides the same question: stop "
                "it, and run the same command again."
            )
        rows = [*self.rows, json.loads(_line(row))]
        content = b"".join(map(_line, rows))
        self._files.write(self._path, content)
        self.rows, self._size = rows, len(content)

    def _parsed(self, content: bytes) -> list[Row]:
        try:
            rows: list[Row] = [json.loads(line) for line in content.splitlines()]
            if all(isinstance(row, dict) for row in rows) and (not rows or rows[0].items() >= VERSION.items()):
                return rows
        except DAMAGE:
            pass
        raise RaysweepError(
            f"{self._path} in the store {self._files.uri} is damaged, or not a log of this version of raysweep: move "
            "it elsewhere. The results of trials are kept and count again."
        )

    def _check_same(self, first: Row) -> None:
        begun = self.rows[0]
        before, now = begun.get("settings", {}), first["settings"]
        differ = [path for path in sorted({*before, *now}) if before.get(path) != now.get(path)]
        differ = differ or [key for key in first if begun.get(key) != first[key]]
        if differ:
            texts = ", ".join(f"{path} was {_value(path, before)}, is {_value(path, now)}" for path in differ)
            raise RaysweepError(
                f"the store {self._files.uri} holds this question with other settings ({texts}): repeat the earlier "
                "ones to continue it, or pass another --store to begin it again."
            )


def _value(path: str, settings: Mapping[str, Any]) -> str:
    return json.dumps(settings[path]) if path in settings else "the default"


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
