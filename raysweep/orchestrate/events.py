"""The events of a sweep, and the functions that it calls for each trial. Loads neither torch nor ray."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from raysweep.orchestrate.shortage import find_shortage
from raysweep.train.task import Placement, TrialTask

Row = Mapping[str, Any]
"""One epoch of a trial, with at least `epoch` and `status`."""
End = Literal["finished", "diverged", "stopped", "failed"]
ENDS: tuple[End, ...] = get_args(End)
Kind = Literal[
    "started", "epoch", "finished", "diverged", "stopped", "failed", "retried", "elsewhere", "note", "verdict"
]
"""Elsewhere: another process trains the trial, and this sweep waits for it. Verdict: what `decide` concludes."""

Train = Callable[[TrialTask, Placement, int], Iterator[dict[str, Any]]]
"""Trains a trial at a place in its nth attempt and yields one row per epoch; the last one is finished or diverged."""
RecordEnd = Callable[[TrialTask, str, str | None], None]
"""Writes the end that a trial could not write itself: `failed` with the error, or `stopped` with the reason."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial, or to the sweep if `trial` is empty."""

    kind: Kind
    trial: str = ""
    row: Row = field(default_factory=dict)
    """The epoch's row; for an end the trial's last row, with the whole traceback under `error` if it failed."""
    text: str = ""
    """One line for people to read."""


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """The ids of a sweep's trials by how they ended, each in the order of the plan."""

    finished: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    @classmethod
    def of(cls, ends: Mapping[str, str]) -> Outcome:
        """Sort trials by their ends; those without an end are left out."""
        return cls(*(tuple(trial for trial, end in ends.items() if end == kind) for kind in cls.__annotations__))


def train_trial(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Train for real; torch is loaded in the worker, not in the driver."""
    from raysweep.train.run_trial import run_trial

    return run_trial(task, place, attempt)


def record_trial_end(task: TrialTask, status: str, why: str | None, owner: str = "") -> None:
    """Write a trial's end to its store, in the name of the sweep `owner`."""
    from raysweep.train.run_trial import record_end

    record_end(task, status, why, owner)


def headline(error: str) -> str:
    """Return the last line of a traceback, which says what went wrong, shortened; of a shortage of memory a summary."""
    if (shortage := find_shortage(error)) is not None:
        return shortage.text
    return textwrap.shorten(error.strip().rpartition("\n")[2], 160, placeholder=" ...")


def elsewhere_text(where: str) -> str:
    """Return what a sweep says of a trial that another process trains."""
    return f"on {where}; this sweep waits for the result"
