"""The log of a race: the question in its first line, one result in every other, as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.deciding.race import Question
from raysweep.disk.lines import LineFile
from raysweep.disk.locks import LockedError
from raysweep.errors import RaysweepError

Result = tuple[str, int, float | None]


@dataclass
class RaceLog:
    """Results in the order of their arrival; with a file, each is on disk before `add` returns."""

    results: list[Result] = field(default_factory=list)
    """Results that the file held when it was opened."""
    file: LineFile | None = None

    def add(self, variant: str, seed: int, value: float | None) -> None:
        """Appends one result.

        Raises:
            OSError: the file cannot be written.
        """
        if self.file:
            self.file.append(_line({"variant": variant, "seed": seed, "value": value}))


@contextmanager
def open_log(path: Path | None, question: Question) -> Iterator[RaceLog]:
    """The log at `path`, created if missing; without a path nothing is kept. One process at a time can have it open.

    A last line that a kill left unfinished is cut off. The goal may differ from one opening to the next; what verdicts
    depend on may not.

    Raises:
        RaysweepError: another process has it open, it is not a log of a race, or of another question.
        OSError: it cannot be read or written.
    """
    log = RaceLog()
    if path is None:
        yield log
        return

    def whole(content: bytes) -> bytes:
        head = _line(_head(question))
        if head.startswith(content):  # empty, or killed while the first line was written
            return head
        lines = content[: content.rfind(b"\n") + 1]
        log.results = _read(lines, path, question)
        return lines

    try:
        log.file = LineFile(path, whole)
    except LockedError as error:
        raise RaysweepError(f"the race in {path} is being run by {error.owner or 'another process'}.") from error
    try:
        yield log
    finally:
        log.file.close()


def _read(content: bytes, path: Path, question: Question) -> list[Result]:
    head = _head(question)
    try:
        rows = [json.loads(line) for line in content.splitlines()]
        found, results = rows[0], [_result(row, question) for row in rows[1:]]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RaysweepError(
            f"{path} is not the log of a race with these variants ({error!r}): pass another path."
        ) from error
    if found != head:
        differ = [name for name in head if not isinstance(found, dict) or found.get(name) != head[name]]
        raise RaysweepError(
            f"{path} is the log of a race with another {', '.join(differ)}: pass the same question or another path. "
            "A question that changes with the results has no known probability of error."
        )
    return results


def _head(question: Question) -> dict[str, Any]:
    return {
        "raysweep race": 1,
        "variants": list(question.variants),
        "baseline": question.baseline,
        "margin": question.margin,
        "level": question.level,
    }


def _result(row: Mapping[str, Any], question: Question) -> Result:
    variant, seed, value = row["variant"], row["seed"], row["value"]
    if variant not in question.variants or type(seed) is not int or seed < 0 or isinstance(value, bool):
        raise ValueError(f"no result of this race: {dict(row)}")
    return variant, seed, None if value is None else float(value)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"
