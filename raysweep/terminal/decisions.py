"""What `raysweep decide` prints: verdicts, what is open, and what the open ones need."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysweep.deciding.allocation import standing
from raysweep.deciding.budget import Budget
from raysweep.deciding.race import Race
from raysweep.deciding.verdicts import Verdict
from raysweep.terminal.tables import table
from raysweep.units import rough_duration

MOST_ROWS = 20


@dataclass(frozen=True)
class Answer:
    """What is known of a variant at the end."""

    study: str
    variant: str
    verdict: Verdict
    needed_s: float | None = None
    """Seconds by the clock until it is decided if its estimate holds; None for a decided one, or for too many."""
    chance: float | None = None
    """Probability to be the best of its study."""
    failed_trial: str = ""

    @property
    def needs(self) -> str:
        """What a variant without a verdict needs."""
        if self.failed_trial:
            return f"trial {self.failed_trial} failed"
        if self.verdict.outcome.decided or not self.verdict.runs:
            return ""
        return (
            "too much: closer than 100 runs tell" if self.needed_s is None else f"about {rough_duration(self.needed_s)}"
        )

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints; null for numbers that are not known."""
        own = asdict(self.verdict) | {"verdict": str(self.verdict.outcome)}
        del own["outcome"]
        own["did_not_train"] = own.pop("failed")
        return {"study": self.study, "variant": self.variant, **own} | {
            "needed_s": self.needed_s,
            "chance_best": self.chance,
            "failed_trial": self.failed_trial or None,
        }


def interval(verdict: Verdict) -> tuple[str, str]:
    """The gain and its interval in points; a dash for what is not known."""
    if not math.isfinite(verdict.gain):
        return "-", "-"
    if not math.isfinite(verdict.low):
        return f"{verdict.gain:+.1f}", "-"
    return f"{verdict.gain:+.1f}", f"[{verdict.low:+.1f}, {verdict.high:+.1f}]"


def verdict_text(verdict: Verdict) -> str:
    """A verdict in one line: `better  +4.1 [+1.2, +7.0]  4 runs`."""
    gain, limits = interval(verdict)
    numbers = "" if gain == "-" else f"  {gain} {limits}"
    return f"{verdict}{numbers}  {verdict.runs} runs"


def answers_table(answers: Sequence[Answer]) -> str:
    """The verdicts, decided ones first and the largest gains on top; at most `MOST_ROWS`, the rest counted."""
    ordered = sorted(answers, key=lambda one: (not one.verdict.outcome.decided, -_gain(one)))
    header = ("study", "variant", "verdict", "gain, points", "interval", "runs", "to decide it")
    rows = [
        (one.study, one.variant, one.verdict, *interval(one.verdict), one.verdict.runs, one.needs)
        for one in ordered[:MOST_ROWS]
    ]
    text = table(header, rows)
    rest = Counter(str(one.verdict.outcome) for one in ordered[MOST_ROWS:])
    if not rest:
        return text
    counted = ", ".join(f"{number} {outcome}" for outcome, number in rest.items())
    return f"{text}\nand {rest.total()} more: {counted}; --json has all"


def _gain(answer: Answer) -> float:
    return answer.verdict.gain if math.isfinite(answer.verdict.gain) else -math.inf


def best_text(races: Mapping[str, Race]) -> str:
    """The best variant of each study with its probability to be that."""
    lines = []
    for study, race in races.items():
        now = standing(race)
        chances = now.best() if now else {}
        best = max(chances, key=lambda name: chances[name], default="")
        lines.append(
            f"{study}: best is {best}, with probability {chances[best]:.0%}" if best else f"{study}: none trains"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class FirstRuns:
    """The runs that a variant needs before anything can be said of it."""

    study: str
    variant: str
    runs: int
    seconds: float
    """Predicted for one of them."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--dry-run --json` prints."""
        return asdict(self)


def first_runs_table(rows: Sequence[FirstRuns], budget: Budget) -> str:
    """The first runs with their times, and their total by the clock; a baseline that studies share counts once."""
    cells = [(row.study, row.variant, row.runs, rough_duration(row.seconds)) for row in rows[:MOST_ROWS]]
    more = f"\nand {len(rows) - MOST_ROWS} more variants" if len(rows) > MOST_ROWS else ""
    total = sum(row.runs * row.seconds for row in rows) / budget.workers
    text = table(("study", "variant", "first runs", "each"), cells)
    first, whole = rough_duration(total), rough_duration(budget.seconds)
    return f"{text}{more}\n\nabout {first} of {whole}; the rest goes to what is open then"
