"""A report that is written again while a sweep runs: only what has changed is read, and only its lines are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.load import Line, held_studies, lines_of
from analysis.page.report import Report
from raysweep.store.following import Following
from raysweep.store.schema import MEMBERS, TRIAL
from raysweep.store.store import Store


def follow(store: Store) -> Following:
    """What a live report must know of a store: every column."""
    return Following(store, TRIAL.names, MEMBERS.names)


class LiveReport:
    """The report of a store that changes."""

    def __init__(self, following: Following, store: Store, studies: Sequence[str], out: Path) -> None:
        self.following = following
        self.store = store
        self.studies = studies
        self.report = Report(store, out)
        self.lines: dict[str, list[Line]] = {}
        self.seen: Counter[str] = Counter()
        """Study -> how many members it had at the last look."""

    def update(self, changed: Iterable[Any], every_s: float | None) -> Path | None:
        """Write the page again where trials of its studies have changed, or members have come; else nothing.

        `changed`: what `Following.refresh` returned. `every_s`: between two looks; None: this is the last one.

        Raises:
            RaysweepError: the store holds no such study, or the folder cannot be written.
        """
        members = _frame([m for rows in self.following.members.values() for m in rows], MEMBERS)
        wanted = held_studies(members, self.studies, self.store.uri)
        trials = {row["trial"] for row in changed}
        touched = set(members.loc[members["trial"].isin(trials), "study"])
        sizes = Counter(members["study"])
        stale = [study for study in wanted if study in touched or self.seen[study] != sizes[study]]
        if not stale and every_s is not None:
            return None
        if stale:
            self._load(members[members["study"].isin(stale)], stale)
        self.seen = sizes
        return self.report.write([line for study in wanted for line in self.lines[study]], every_s)

    def _load(self, members: pd.DataFrame, studies: Sequence[str]) -> None:
        ids = list(dict.fromkeys(members["trial"]))
        trials = _frame([self.following.trials[trial] for trial in ids if trial in self.following.trials], TRIAL)
        epochs = self.store.epochs(ids).to_pandas()
        lines = lines_of(members, trials, epochs, studies)
        self.lines |= {study: [line for line in lines if line.study == study] for study in studies}


def _frame(rows: Sequence[Any], schema: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = pa.Table.from_pylist(rows, schema=schema).to_pandas()
    return frame
