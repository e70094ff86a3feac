"""Following a store while a sweep writes to it: only files that have changed are read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raysweep.store.asked_questions import AskedQuestion, AskedQuestions
from raysweep.store.claims import at_present, holders
from raysweep.store.files import Stamp
from raysweep.store.schema import MEMBERS, TRIAL
from raysweep.store.store import Store

TRIAL_COLUMNS = (
    *("trial", "status", "epochs", "planned_epochs", "top1", "images_per_s"),
    *("wall_s", "error", "updated_at"),
)
MEMBER_COLUMNS = ("study", "variant", "trial", "seed", "protocol")
Row = Mapping[str, Any]


class Following:
    """The trials of a store, the variants they belong to, and its questions, kept up to date by `refresh`."""

    def __init__(
        self, store: Store, trial_columns: Sequence[str] = TRIAL_COLUMNS, member_columns: Sequence[str] = MEMBER_COLUMNS
    ) -> None:
        """Reads nothing yet; `refresh` will read these columns of trials and members."""
        self.trials: dict[str, Row] = {}
        """Trial id -> row, for trials that have started; its status is the present one, see `claims`."""
        self.members: dict[str, list[Row]] = {}
        """Trial id -> the variants it belongs to."""
        self.questions: list[AskedQuestion] = []
        """Those of `raysweep decide`."""
        self._files = store.files
        self._questions = AskedQuestions(store.files, store.note)
        self._rows: dict[str, Row] = {}
        self._trials = _Folder(store, "trials", TRIAL, trial_columns, lambda: store.trials(trial_columns))
        self._members = _Folder(store, "members", MEMBERS, member_columns, store.members)

    def refresh(self) -> list[Row]:
        """Read the changes; returns the rows of trials that have changed, each once.

        Raises:
            RaysweepError: the store cannot be reached; the trials here are those of the last time then.
        """
        self.questions = self._questions.refresh()  # first, so that their results are among the trials
        for member in self._members.changed():
            known = self.members.setdefault(member["trial"], [])
            if member not in known:
                known.append(member)
        claimed = holders(self._files)
        self._rows |= {row["trial"]: row for row in self._trials.changed()}
        rows = at_present(self._files, self._rows.values(), claimed)
        new = [row for row in rows if row != self.trials.get(row["trial"])]
        self.trials = {row["trial"]: row for row in rows}
        return new


@dataclass
class _Folder:
    """The small files in one folder of a store; a file is read when it is new or has changed."""

    store: Store
    folder: str
    schema: pa.Schema
    columns: Sequence[str]
    read_all: Callable[[], pa.Table]
    seen: Mapping[str, Stamp] | None = None
    fresh: set[str] = field(default_factory=set)
    """Files that changed at the last refresh, to be read once more: times in object storage are whole seconds."""

    def changed(self) -> list[Row]:
        """The rows of all files at the first call, later of those that have changed.

        Raises:
            RaysweepError: the folder cannot be listed.
        """
        now = self.store.listed(self.folder)
        before = self.seen
        if before is None or before.keys() - now.keys():
            # Files that are gone have been compacted, possibly after changes that have not been read here.
            table, self.fresh = self.read_all(), _recent(now)
        else:
            new = {name for name, stamp in now.items() if before.get(name) != stamp}
            read = self.store.read_each(sorted(new | self.fresh), self.schema)
            table, self.fresh = pa.concat_tables([self.schema.empty_table(), *read.values()]), new
        self.seen = now
        rows: list[Row] = table.select(list(self.columns)).to_pylist()
        return rows


def _recent(stamps: Mapping[str, Stamp]) -> set[str]:
    """The files that changed at most two seconds before the newest one."""
    times = {name: stamp.changed_ns or 0 for name, stamp in stamps.items()}
    newest = max(times.values(), default=0)
    return {name for name, time in times.items() if time >= newest - 2_000_000_000}
