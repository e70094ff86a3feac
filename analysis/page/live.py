"""A report that is rewritten while a sweep runs: only changed trials are read, and only their lines are drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from raysweep.analysis.contrasts import MARGIN
from raysweep.analysis.load import Line, held_studies, lines_of, with_questions
from raysweep.analysis.page.html_page import PAGE, HtmlPage
from raysweep.store.asked_questions import AskedQuestion
from raysweep.store.following import Following
from raysweep.store.schema import MEMBERS, TRIAL
from raysweep.store.store import Store
from raysweep.study import stored_name


class LiveReport:
    """The report of a store that changes."""

    def __init__(self, store: Store, studies: Sequence[str], out: Path, margin: float = MARGIN) -> None:
        self.following = Following(store, TRIAL.names, MEMBERS.names)
        self.store = store
        self.studies = [stored_name(study) for study in studies]
        self.page = HtmlPage(store, out, margin=margin)
        self.lines: dict[str, list[Line]] = {}
        self.questions: list[AskedQuestion] = []
        """Those at the last update."""
        self.seen: Counter[str] = Counter()
        """Study -> number of its members at the last update."""

    def update(self, changed: Iterable[Any], every_s: float | None) -> Path:
        """Rewrite the page if trials or questions of its studies have changed or members were added; return its path.

        `changed` is the result of `Following.refresh`. `every_s` is the time between updates; None marks the last one,
        which is always written.

        Raises:
            RaysweepError: the store has no such study, or the folder cannot be written.
        """
        members = _frame([m for rows in self.following.members.values() for m in rows], MEMBERS)
        shown = held_studies(members, self.studies, self.store.uri)
        trials = {row["trial"] for row in changed}
        touched = set(members.loc[members["trial"].isin(trials), "study"]) | self._asked_again()
        sizes = Counter(members["study"])
        stale = [study for study in shown if study in touched or self.seen[study] != sizes[study]]
        if not stale and every_s is not None:
            return self.page.out / PAGE
        if stale:
            self._load(members[members["study"].isin(stale)], stale)
        self.seen = sizes
        return self.page.write([line for study in shown for line in self.lines[study]], every_s)

    def _asked_again(self) -> set[str]:
        """The studies of questions that are new, have changed or are gone."""
        before, now = self.questions, self.following.questions
        self.questions = now
        return {one.study for one in (*before, *now) if one not in before or one not in now}

    def _load(self, members: pd.DataFrame, studies: Sequence[str]) -> None:
        ids = list(dict.fromkeys(members["trial"]))
        trials = _frame([self.following.trials[trial] for trial in ids if trial in self.following.trials], TRIAL)
        epochs = self.store.epochs(ids).to_pandas()
        lines = with_questions(lines_of(members, trials, epochs, studies, self.store.note), self.questions)
        self.lines |= {study: [line for line in lines if line.study == study] for study in studies}


def _frame(rows: Sequence[Any], schema: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = pa.Table.from_pylist(rows, schema=schema).to_pandas()
    return frame
