"""The questions that `raysweep decide` was asked, as their logs in a store tell them to whoever follows.

A log may end anywhere: its question is in progress, was stopped or killed, or is that of an earlier version. Keys and
steps that are not known here are passed over, so that later versions can add some.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.identity import line_id
from raysweep.patch import set_fields
from raysweep.recipe import Recipe
from raysweep.safe import printable
from raysweep.store.decision_log import FOLDER, VERSION, Row
from raysweep.store.files import Files, Stamp
from raysweep.store.reading import DAMAGE

if TYPE_CHECKING:
    from raysweep.deciding.verdicts import Verdict

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Step:
    """Something that was found out besides the verdicts: a choice, a control, a second look at a verdict, the end."""

    kind: str
    """calibrate, control, tune, rate, lasting, combine, final, warning, or one of a later version."""
    text: str
    """A sentence for people, by whoever wrote the log."""
    row: Row

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind

    @property
    def variant(self) -> str:
        """The variant that it is about; empty if there is none."""
        return _text(self.row.get("variant"))

    def number(self, name: str) -> float:
        """A number of it; not a number if it has none."""
        return _number(self.row.get(name))


@dataclass(frozen=True)
class AskedQuestion:
    """A question, and what is known of it at the end of its log."""

    name: str
    """The name of the log."""
    study: str
    variants: tuple[str, ...]
    baseline: str
    margin: float
    level: float
    """Probability of any wrong verdict."""
    trials: Mapping[str, Sequence[str]]
    """Variant -> the trials whose results have been taken in, in the order of their arrival."""
    verdicts: Mapping[str, Verdict]
    """Last verdict of each variant but the baseline, also of those that have not been looked at."""
    steps: Sequence[Step]
    """Those about this study, or about all studies of the command."""
    settings: Mapping[str, Any]
    """The length of training that was chosen, and what the baseline was calibrated to."""
    why: Sequence[str]
    """The choices made before training, with reasons, in their order."""
    stop: str
    """Why nothing more is run; empty while it is in progress, or if it was killed."""
    clock_s: float
    """Seconds that it has used."""
    line: str = ""
    """The line of the trials at that length, as in the store's members; empty if its settings are unknown here."""
    changed_at: datetime | None = None
    """Time of the last line."""

    @cached_property
    def decided(self) -> int:
        """Number of variants with a verdict."""
        return sum(verdict.outcome.decided for verdict in self.verdicts.values())

    @property
    def open(self) -> int:
        """Number of variants that are undecided."""
        return len(self.verdicts) - self.decided

    @property
    def runs(self) -> int:
        """Number of results."""
        return sum(map(len, self.trials.values()))

    def of_kind(self, kind: str) -> list[Step]:
        """The steps of a kind, in their order."""
        return [step for step in self.steps if step.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """The object that `raysweep status --json` prints of it."""
        verdicts = [
            {"variant": name, "verdict": str(one.outcome), "gain": one.gain, "low": one.low, "high": one.high}
            | {"runs": one.runs, "did_not_train": one.failed}
            for name, one in self.verdicts.items()
        ]
        about = {"baseline": self.baseline, "margin": self.margin, "level": self.level}
        state = {"decided": self.decided, "open": self.open, "stop": self.stop or None, "used_s": self.clock_s}
        steps = [{"step": step.kind, "text": step.text} for step in self.steps]
        return about | state | {"updated_at": self.changed_at, "verdicts": verdicts, "steps": steps}


@dataclass
class AskedQuestions:
    """The questions of a store, kept up to date by `refresh`: only logs that have changed are read again."""

    files: Files
    note: Callable[[str], None]
    """Receives a sentence for each log that cannot be read."""
    known: dict[str, AskedQuestion] = field(default_factory=dict)
    """File -> question, for the logs that can be read."""
    seen: Mapping[str, Stamp] = field(default_factory=dict)

    def refresh(self) -> list[AskedQuestion]:
        """All questions, ordered by study; logs that are damaged are noted and left out.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        now = self.files.stamps(FOLDER, SUFFIX)
        unread = {name for name, stamp in now.items() if self.seen.get(name) != stamp and not self._read(name, stamp)}
        self.known = {name: one for name, one in self.known.items() if name in now}
        self.seen = {name: stamp for name, stamp in now.items() if name not in unread}
        return sorted(self.known.values(), key=lambda one: (one.study, one.name))

    def _read(self, name: str, stamp: Stamp) -> bool:
        """Read a log; returns whether it was there and could be read, damaged or not."""
        self.known.pop(name, None)
        try:
            content = self.files.find(name)
        except RaysweepError as error:
            self.note(str(error))
            return False
        try:
            changed = None if stamp.changed_ns is None else datetime.fromtimestamp(stamp.changed_ns / 1e9, UTC)
            if content is not None:
                self.known[name] = parsed(name, content, changed)
        except DAMAGE as error:
            what = f"{name} in the store {self.files.uri} is damaged, or not a log of raysweep decide"
            self.note(printable(f"{what} ({error}): move it elsewhere."))
        return content is not None


def asked_questions(files: Files, note: Callable[[str], None]) -> list[AskedQuestion]:
    """The questions that a store has, ordered by study; `note` receives a sentence for each log that is damaged.

    Raises:
        RaysweepError: the store cannot be reached.
    """
    return AskedQuestions(files, note).refresh()


def parsed(name: str, content: bytes, changed_at: datetime | None = None) -> AskedQuestion:
    """The question of a log.

    Raises:
        ValueError: it is not the log of a question, as other errors of `DAMAGE`.
    """
    rows = [json.loads(line) for line in content.splitlines()]
    if not rows or not all(isinstance(row, dict) for row in rows) or not rows[0].items() >= VERSION.items():
        raise ValueError("it does not begin with a question")
    head = rows[0]
    variants, baseline = tuple(map(_name, head["variants"])), _name(head["baseline"])
    study, fits = _name(head["study"]), [row for row in rows if "fit" in row]
    steps = [row for row in rows if "step" in row and row.get("study", study) == study]
    settings = dict(fits[-1]["fit"]) if fits else {}
    return AskedQuestion(
        name=name,
        study=study,
        variants=variants,
        baseline=baseline,
        margin=_positive(head["margin"]),
        level=_positive(head["level"]),
        trials=_trials(rows, variants),
        verdicts=_verdicts(rows, [name for name in variants if name != baseline]),
        steps=[Step(_text(row["step"]), _text(row.get("text")), row) for row in steps],
        settings=settings,
        why=list(dict.fromkeys(_text(reason) for row in fits for reason in row.get("why") or ())),
        stop=_text(rows[-1].get("stop")),
        clock_s=max((_number(row["clock_s"]) for row in rows if _number(row.get("clock_s")) >= 0), default=0.0),
        line=_line(dict(head.get("settings") or {}) | settings),
        changed_at=changed_at,
    )


def _line(settings: Mapping[str, Any]) -> str:
    try:
        return line_id(set_fields(Recipe(), settings))
    except RaysweepError:
        return ""


def _trials(rows: Sequence[Row], variants: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in variants}
    for row in rows:
        if "seed" in row and "step" not in row and row.get("variant") in found:
            found[row["variant"]].append(_name(row["trial"]))
    return found


def _verdicts(rows: Sequence[Row], rivals: Sequence[str]) -> dict[str, Verdict]:
    from raysweep.deciding.verdicts import UNSEEN, Outcome, Verdict

    found = dict.fromkeys(rivals, UNSEEN)
    for row in rows:
        name, outcome = row.get("variant"), row.get("verdict")
        if name in found and outcome in set(Outcome):
            low, high = (_number(row.get(end)) for end in ("low", "high"))
            known = not (math.isnan(low) or math.isnan(high))
            limits = (low, high) if known else (-math.inf, math.inf)
            counts = int(row["runs"]), int(row["did_not_train"])
            found[name] = Verdict(Outcome(outcome), _number(row.get("gain")), *limits, *counts)
    return found


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> float:
    """A finite number; not a number for anything else."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else math.nan


def _positive(value: Any) -> float:
    number = _number(value)
    if not number > 0:
        raise ValueError(f"{value!r} is no positive number")
    return number
