"""The live view of a store: `raysweep status --watch` follows its sweeps until no trial is left to run."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from raysweep.errors import RaysweepError
from raysweep.orchestrate.events import ENDS, headline
from raysweep.safe import printable
from raysweep.terminal.notes import console, say, warn
from raysweep.terminal.progress import LINE_EVERY_S
from raysweep.terminal.snapshot import Row, Snapshot, StudyState, silent_s, trial_name
from raysweep.units import duration, percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from raysweep.store.asked_questions import AskedQuestion
    from raysweep.store.following import Following
    from raysweep.store.store import Store

EVERY_S = 5.0
LEAST_S = 0.2
SETTLE_S = 10.0
"""Seconds without a change after which a sweep whose trials have all ended is over: it might still propose more."""
OPEN = ("running", "interrupted")
SHOWN = 20
"""Maximum number of trials of a kind on the screen."""


def watch(store: Store, every_s: float) -> None:
    """Show the progress of a store's studies, refreshed until no trial is left to run.

    Raises:
        KeyboardInterrupt: stopped by the user; the terminal is restored.
    """
    from raysweep.store.following import Following

    following = Following(store)
    with (Screen if sys.stdout.isatty() else Lines)(following) as view:
        for snapshot, changed in refreshes(following, store, every_s):
            view.show(snapshot, changed, store.problems)


def seconds_between(every: float | None, default_s: float, follows: bool, how: str) -> float:
    """The time between refreshes that a user gives, or the default.

    Args:
        every: What the user gives, if anything.
        default_s: The time if nothing is given.
        follows: Whether anything is refreshed.
        how: How to ask for that, e.g. `--watch`.

    Raises:
        RaysweepError: a time that has no effect, or so short that the store would be busy with refreshes.
    """
    if every is None:
        return default_s
    if not follows:
        raise RaysweepError(f"--every {every:g} has no effect without {how}: add {how}.")
    if not LEAST_S <= every < math.inf:
        raise RaysweepError(f"--every {every:g}: the time between refreshes must be {LEAST_S:g} seconds or more.")
    return every


def refreshes(following: Following, store: Store, every_s: float) -> Iterator[tuple[Snapshot, list[Row]]]:
    """A snapshot and the changed rows at each refresh, until all trials have ended and `SETTLE_S` passed unchanged."""
    quiet_since: datetime | None = None
    while True:
        questions = following.questions
        changed, away = _refresh(following, store)
        snapshot, now = Snapshot.of(following), datetime.now(UTC)
        yield snapshot, changed
        if quiet_since is None:
            quiet_since = snapshot.last_change
        elif changed or following.questions != questions:
            quiet_since = now
        quiet_s = (now - quiet_since).total_seconds() if quiet_since else math.inf
        if not away and not snapshot.left and quiet_s > SETTLE_S:
            return
        time.sleep(every_s)


def _refresh(following: Following, store: Store) -> tuple[list[Row], bool]:
    """The changed rows, and whether the store was unreachable; the next refresh tries again."""
    try:
        return following.refresh(), False
    except RaysweepError as error:
        store.problems.append(f"{datetime.now(UTC):%H:%M:%S} {error}")
        return [], True


class Lines:
    """Plain lines on standard output: the state of each study, then every change."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.printed: dict[str, float] = {}
        """Trial -> time of its last line."""
        self.questions: dict[str, AskedQuestion] = {}
        """Log -> its question when it was last printed."""
        self.said: set[str] = set()
        """The lines about questions that have been printed."""
        self.begun = False
        self.problems = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: lines change nothing on a terminal."""

    def show(self, snapshot: Snapshot, changed: Sequence[Row], problems: Sequence[str]) -> None:
        """Print ends at once, and an epoch of each trial at most every `LINE_EVERY_S`."""
        for row in changed if self.begun else snapshot.failed:
            self._trial(row)
        if not self.begun or any(row["status"] in ENDS for row in changed):
            for study in snapshot.studies:
                say(study_line(study))
        self._questions(snapshot.questions)
        for problem in problems[self.problems :]:
            warn(problem)
        self.begun, self.problems = True, len(problems)

    def _questions(self, questions: Sequence[AskedQuestion]) -> None:
        if not questions:
            return
        from raysweep.terminal.questions import news

        for one in questions:
            new = [line for line in news(self.questions.get(one.name), one) if line not in self.said]
            self.questions[one.name] = one
            self.said.update(new)  # the studies of a command have steps in common
            for line in new:
                say(printable(line))

    def _trial(self, row: Row) -> None:
        trial, now = row["trial"], time.monotonic()
        if row["status"] not in ENDS and now - self.printed.get(trial, -LINE_EVERY_S) < LINE_EVERY_S:
            return
        self.printed[trial] = now
        failure = f"  {headline(row['error'])}" if row["error"] else ""
        name = trial_name(self.following, trial)
        say(printable(f"{trial} {name}  {row['status']}  {'  '.join(numbers(row))}{failure}"))


def study_line(study: StudyState) -> str:
    """The state of a study in one line."""
    counts = ", ".join(f"{study.counts[status]} {status}" for status in (*OPEN, *ENDS) if study.counts[status])
    name = printable(f"{study.name} {study.protocol}")
    return f"{name}  {study.ended}/{study.total} ended  {counts}  ETA {duration(study.eta_s())}"


def numbers(row: Row) -> tuple[str, str, str]:
    """The stored epoch, speed and accuracy of a trial; a dash for what is not known yet."""
    speed = "-" if row["images_per_s"] is None else f"{row['images_per_s']:,.0f}"
    planned = row["planned_epochs"] or "-"
    return f"epoch {row['epochs'] or 0}/{planned}", f"{speed} images/s", f"top-1 {percent(row['top1'])} %"


class Screen:
    """Tables on a terminal, refreshed in place (Rich)."""

    def __init__(self, following: Following) -> None:
        from rich.live import Live

        self.following = following
        self.live = Live(console=console(stderr=False), auto_refresh=False)

    def __enter__(self) -> Screen:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop refreshing the tables."""
        self.live.stop()

    def show(self, snapshot: Snapshot, changed: Sequence[Row], problems: Sequence[str]) -> None:
        """Draw all tables."""
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [_studies(snapshot)]
        if snapshot.running:
            parts.append(self._running(snapshot.running))
        parts += _questions(snapshot.questions)
        failed = (f"failed  {self._name(row)}  {headline(row['error'] or '')}" for row in snapshot.failed[-SHOWN:])
        shown = (*failed, *(f"warning: {problem}" for problem in problems[-3:]))
        parts += (Text(printable(line)) for line in shown)
        self.live.update(Group(*parts), refresh=True)

    def _running(self, rows: Sequence[Row]) -> Table:
        now = datetime.now(UTC)
        more = f"running, the latest {SHOWN} of {len(rows)}" if len(rows) > SHOWN else "running"
        table = _table(more, "epoch", "speed", "accuracy", "last change")
        for row in rows[:SHOWN]:
            table.add_row(self._name(row), *numbers(row), f"{duration(silent_s(row, now))} ago")
        return table

    def _name(self, row: Row) -> str:
        return f"{trial_name(self.following, row['trial'])} ({row['trial']})"


def _studies(snapshot: Snapshot) -> Table:
    from rich.progress_bar import ProgressBar

    names = (*OPEN, "waiting", "failed", "diverged", "stopped")
    table = _table("study", "protocol", "", "ended", *names, "ETA")
    for study in snapshot.studies:
        counts = [str(study.counts[name] or "-") for name in names]
        bar = ProgressBar(total=study.total, completed=study.ended, width=24)
        ended = f"{study.ended}/{study.total}"
        table.add_row(printable(study.name), printable(study.protocol), bar, ended, *counts, duration(study.eta_s()))
    return table


def _questions(questions: Sequence[AskedQuestion]) -> list[RenderableType]:
    """The state of each question, and their last verdicts."""
    if not questions:
        return []
    from raysweep.terminal.questions import QUESTION, VERDICT, question_cells, verdict_rows

    rows, rest = verdict_rows(questions)
    tables = [(QUESTION, [question_cells(one) for one in questions[-SHOWN:]]), (VERDICT, rows)]
    return [*(_filled(*one) for one in tables if one[1]), *([rest] if rest else [])]


def _filled(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    from rich.text import Text

    table = _table(*header)
    for cells in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in cells))
    return table


def _table(*header: str) -> Table:
    from rich.table import Table

    return Table(*header, box=None, pad_edge=False, header_style="bold")
