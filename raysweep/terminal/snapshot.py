"""The progress of a sweep according to its store, for `raysweep status --watch`. Loads neither torch nor ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from raysweep.orchestrate.events import ENDS
from raysweep.safe import printable

if TYPE_CHECKING:
    from raysweep.store.asked_questions import AskedQuestion
    from raysweep.store.following import Following

Row = Mapping[str, Any]


@dataclass
class StudyState:
    """The trials of one study under one protocol."""

    name: str
    protocol: str
    counts: Counter[str] = field(default_factory=Counter)
    """Status -> trials."""
    rows: list[Row] = field(default_factory=list)
    """The rows of the trials that have started."""

    @property
    def total(self) -> int:
        """Number of trials in the store; a sweep that proposes trials adds to them."""
        return self.counts.total()

    @property
    def ended(self) -> int:
        """Number of trials that have ended."""
        return sum(self.counts[end] for end in ENDS)

    def eta_s(self) -> float | None:
        """Seconds until all trials have ended, at the present number at once; None if none is measured or running.

        Assumes that a trial without a finished epoch takes as long as the average of the others.
        """
        timed = [row for row in self.rows if row["epochs"] and row["planned_epochs"]]
        if not timed or not self.counts["running"]:
            return None
        mean_s = sum(_epoch_s(row) * row["planned_epochs"] for row in timed) / len(timed)
        under_way = [row for row in timed if row["status"] == "running"]
        left_s = sum(_epoch_s(row) * (row["planned_epochs"] - row["epochs"]) for row in under_way)
        untimed = self.total - self.ended - len(under_way)
        return float((left_s + untimed * mean_s) / self.counts["running"])


def _epoch_s(row: Row) -> float:
    return float(row["wall_s"] / row["epochs"])


@dataclass(frozen=True)
class Snapshot:
    """A sweep at one moment."""

    studies: Sequence[StudyState]
    running: Sequence[Row]
    """Running trials, the one that changed last first."""
    failed: Sequence[Row]
    """Failed trials, in the order in which they failed."""
    left: int
    """Number of trials that are running or waiting."""
    last_change: datetime | None
    """Time of the last change of a trial."""
    questions: Sequence[AskedQuestion] = ()
    """Those of `raysweep decide`."""

    @classmethod
    def of(cls, following: Following) -> Snapshot:
        """The present state of a store that is being followed."""
        studies: dict[tuple[str, str], StudyState] = {}
        for trial, members in following.members.items():
            row = following.trials.get(trial)
            for key in dict.fromkeys((member["study"], member["protocol"]) for member in members):
                _add(studies.setdefault(key, StudyState(*key)), row)
        known = [row for trial, row in following.trials.items() if trial in following.members]
        running = sorted(_with(known, "running"), key=_changed, reverse=True)
        left = len(following.members) - sum(row["status"] in ENDS for row in known)
        latest = max((row["updated_at"] for row in known if row["updated_at"]), default=None)
        in_order = [studies[key] for key in sorted(studies)]
        failed = sorted(_with(known, "failed"), key=_changed)
        return cls(in_order, running, failed, left, latest, following.questions)


def _add(study: StudyState, row: Row | None) -> None:
    study.counts[row["status"] if row else "waiting"] += 1
    if row:
        study.rows.append(row)


def _with(rows: Iterable[Row], status: str) -> list[Row]:
    return [row for row in rows if row["status"] == status]


def _changed(row: Row) -> datetime:
    return row["updated_at"] or datetime.min.replace(tzinfo=UTC)


def silent_s(row: Row, now: datetime) -> float:
    """Seconds since a trial's row last changed, by the clocks of the machines that wrote and read it."""
    return max(0.0, (now - _changed(row)).total_seconds()) if row["updated_at"] else 0.0


def trial_name(following: Following, trial: str) -> str:
    """The name of a trial for people: its first study, its variant and its seed."""
    member = next(iter(following.members.get(trial, ())), None)
    return printable(f"{member['study']}/{member['variant']} seed {member['seed']}" if member else trial)
