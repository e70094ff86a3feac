"""Follows a store that a sweep writes to: of ten thousand trials only those that have changed are read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

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
    """What a store knows of its trials and of what they stand for, kept up to date by `refresh`."""

    def __init__(
        self, store: Store, trial_columns: Sequence[str] = TRIAL_COLUMNS, member_columns: Sequence[str] = MEMBER_COLUMNS
    ) -> None:
        """Nothing is read yet; of trials and members only these columns will be."""
        self.trials: dict[str, Row] = {}
        """Trial -> its row, of those that have begun."""
        self.members: dict[str, list[Row]] = {}
        """Trial -> what it stands for."""
        self._trials = _Folder(store, "trials", TRIAL, trial_columns, lambda: store.trials(trial_columns))
        self._members = _Folder(store, "members", MEMBERS, member_columns, store.members)

    def refresh(self) -> list[Row]:
        """Read what has changed; returns the rows of trials that are not as they were, each once.

        Raises:
            RaysweepError: the store cannot be reached; what was known stays known.
        """
        for member in self._members.changed():
            known = self.members.setdefault(member["trial"], [])
            if member not in known:
                known.append(member)
        rows = {row["trial"]: row for row in self._trials.changed()}
        new = [row for row in rows.values() if row != self.trials.get(row["trial"])]
        self.trials |= {row["trial"]: row for row in new}
        return new


class _Folder:
    """The small files of one folder of a store, each read when it is new, and again when it has changed."""

    def __init__(
        self, store: Store, folder: str, schema: pa.Schema, columns: Sequence[str], read_all: Callable[[], pa.Table]
    ) -> None:
        self.store = store
        self.folder = folder
        self.schema = schema
        self.columns = list(columns)
        self.read_all = read_all
        self.seen: dict[str, Stamp] | None = None
        self.fresh: set[str] = set()
        """Files that had changed at the last look. They are read once more: the clock of a store may tell seconds."""

    def changed(self) -> list[Row]:
        """The rows of all files at the first look, later of those that have changed.

        Raises:
            RaysweepError: the folder cannot be listed.
        """
        now = self.store.files.stamps(self.folder, ".parquet")
        before = self.seen
        if before is None or before.keys() - now.keys():
            # What has gone has been put together with others, perhaps after changes that nobody here has read.
            table, self.fresh = self.read_all(), _recent(now)
        else:
            new = {name for name, stamp in now.items() if before.get(name) != stamp}
            read = self.store.read_each(sorted(new | self.fresh), self.schema)
            table, self.fresh = pa.concat_tables([self.schema.empty_table(), *read.values()]), new
        self.seen = now
        rows: list[Row] = table.select(self.columns).to_pylist()
        return rows


def _recent(stamps: Mapping[str, Stamp]) -> set[str]:
    """Files changed within two seconds of the newest one."""
    times = {name: stamp.changed_ns or 0 for name, stamp in stamps.items()}
    newest = max(times.values(), default=0)
    return {name for name, time in times.items() if time >= newest - 2_000_000_000}
