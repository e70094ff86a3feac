"""What `raysweep status` prints of the questions of `raysweep decide`: how far each is, and its last verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from raysweep.store.asked_questions import AskedQuestion
from raysweep.terminal.decisions import MOST_ROWS, interval, outcome_text, verdict_text
from raysweep.terminal.tables import table
from raysweep.units import rough_duration

LONGEST = 100
"""Most characters of a step that are shown."""
Cells = Sequence[object]
QUESTION = ("question", "decided", "open", "used", "state", "updated", "last step")
VERDICT = ("study", "variant", "verdict", "gain, points", "interval", "runs")


def question_cells(one: AskedQuestion) -> Cells:
    """The state of a question, in the columns `QUESTION`."""
    updated = f"{one.changed_at:%Y-%m-%d %H:%M:%S}" if one.changed_at else "-"
    return one.study, one.decided, one.open, rough_duration(one.clock_s), state(one), updated, last_step(one) or "-"


def state(one: AskedQuestion) -> str:
    """Why a question has stopped, or that it has not."""
    return shortened(one.stop) or "in progress"


def last_step(one: AskedQuestion) -> str:
    """The last step besides verdicts, or the last choice before training; empty if there is none."""
    texts = [*one.why, *map(str, one.steps)]
    return shortened(texts[-1]) if texts else ""


def shortened(text: str) -> str:
    """At most `LONGEST` characters of a text."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def verdict_rows(questions: Sequence[AskedQuestion]) -> tuple[list[Cells], str]:
    """The last verdicts in the columns `VERDICT`, decided ones first and the largest gains on top; the rest counted."""
    looked = [(one.study, name, verdict) for one in questions for name, verdict in one.verdicts.items() if verdict.runs]
    looked.sort(key=lambda row: (not row[2].outcome.decided, -_finite(row[2].gain)))
    rows: list[Cells] = [
        (study, name, outcome_text(verdict), *interval(verdict), verdict.runs)
        for study, name, verdict in looked[:MOST_ROWS]
    ]
    rest = Counter(str(verdict.outcome) for *_, verdict in looked[MOST_ROWS:])
    counted = ", ".join(f"{number} {outcome}" for outcome, number in rest.items())
    return rows, f"and {rest.total()} more: {counted}; --json has all" if rest else ""


def _finite(gain: float) -> float:
    return gain if math.isfinite(gain) else -math.inf


def questions_text(questions: Sequence[AskedQuestion]) -> str:
    """The state of each question, and their last verdicts; at most `MOST_ROWS` rows each."""
    latest = sorted(questions, key=lambda one: str(one.changed_at), reverse=True)[:MOST_ROWS]
    shown = [question_cells(one) for one in questions if one in latest]
    more = len(questions) - len(shown)
    rows, rest = verdict_rows(questions)
    lines = [table(QUESTION, shown), *([f"and {more} more; --json has all"] if more else [])]
    lines += ["", table(VERDICT, rows)] if rows else []
    return "\n".join([*lines, *([rest] if rest else [])])


def news(before: AskedQuestion | None, now: AskedQuestion) -> Iterator[str]:
    """One line for each step and verdict that has been added to a question, and one for its state."""
    for step in now.steps[len(before.steps) if before else 0 :]:
        yield str(step)
    for name, verdict in now.verdicts.items():
        if verdict.outcome.decided and not (before and before.verdicts.get(name) == verdict):
            yield f"{now.study}/{name}  {verdict_text(verdict)}"
    if before is None or (before.decided, before.stop) != (now.decided, now.stop):
        used = rough_duration(now.clock_s)
        yield f"{now.study}  {now.decided} decided, {now.open} open, {used} used, {state(now)}"
