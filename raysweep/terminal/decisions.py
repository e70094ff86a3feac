"""What `raysweep decide` prints: verdicts, what is open, and what the open ones need."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from raysweep.deciding.budget import Budget
from raysweep.deciding.verdicts import Outcome, Verdict
from raysweep.terminal.tables import table
from raysweep.units import rough_duration

MOST_ROWS = 20
SELDOM = 0.1
"""Share of runs that may fail to train before a baseline counts as unreliable."""


@dataclass(frozen=True)
class Baseline:
    """The runs that the variants of a study were compared with."""

    name: str
    top1: float | None
    """Mean of the runs that trained, points."""
    runs: int
    did_not_train: int

    def __str__(self) -> str:
        top1 = "-" if self.top1 is None else f"{self.top1:.1f} %"
        failed = f", {self.did_not_train} of them did not train" if self.did_not_train else ""
        return f"baseline {self.name}: top-1 {top1}, {self.runs} runs{failed}"


@dataclass(frozen=True)
class Answer:
    """What is known of a variant at the end."""

    study: str
    variant: str
    verdict: Verdict
    baseline: Baseline
    needed_s: float | None = None
    """Seconds by the clock until it is decided if its estimate holds; None for a decided one, or for too many."""
    chance: float | None = None
    """Probability to be the best of its study."""
    failed_trial: str = ""
    marks: tuple[str, ...] = ()
    """What later checks have found: that it depends on the learning rate, or fades."""

    @property
    def outcome(self) -> str:
        """The outcome with the marks."""
        return "; ".join([outcome_text(self.verdict), *self.marks])

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
            "baseline": asdict(self.baseline),
            "needed_s": self.needed_s,
            "chance_best": self.chance,
            "failed_trial": self.failed_trial or None,
            "marks": list(self.marks),
        }


@dataclass(frozen=True)
class Decision:
    """All that `raysweep decide` has found."""

    answers: list[Answer]
    final: Mapping[str, Any] | None = None
    """The last comparison, as the log has it: `text`, `variants`, `trial`, and with five runs each `gain`, `low`,
    `high`, points; None if no step got there."""
    warnings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Trials that failed."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        final = dict(self.final) if self.final else None
        return {
            "final": final,
            "warnings": self.warnings,
            "answers": [one.to_json() for one in self.answers],
            "failed": self.failed,
        }


def interval(verdict: Verdict) -> tuple[str, str]:
    """The gain and its interval in points; a dash for what is not known."""
    if not math.isfinite(verdict.gain):
        return "-", "-"
    if not math.isfinite(verdict.low):
        return f"{verdict.gain:+.1f}", "-"
    return f"{verdict.gain:+.1f}", f"[{verdict.low:+.1f}, {verdict.high:+.1f}]"


def outcome_text(verdict: Verdict) -> str:
    """The outcome, with the runs that did not train if there are any."""
    if not verdict.failed:
        return str(verdict.outcome)
    runs = f"{verdict.failed} of {verdict.runs} runs"
    return (
        f"did not train in {runs}"
        if verdict.outcome is Outcome.DID_NOT_TRAIN
        else f"{verdict.outcome}; {runs} did not train"
    )


def verdict_text(verdict: Verdict) -> str:
    """A verdict in one line: `better  +4.1 [+1.2, +7.0]  4 runs`."""
    gain, limits = interval(verdict)
    numbers = "" if gain == "-" else f"  {gain} {limits}"
    return f"{outcome_text(verdict)}{numbers}  {verdict.runs} runs"


def answers_table(answers: Sequence[Answer]) -> str:
    """The verdicts, decided ones first and the largest gains on top; at most `MOST_ROWS`, the rest counted."""
    ordered = sorted(answers, key=lambda one: (not one.verdict.outcome.decided, -_gain(one)))
    header = ("study", "variant", "verdict", "gain, points", "interval", "runs", "to decide it")
    rows = [
        (one.study, one.variant, one.outcome, *interval(one.verdict), one.verdict.runs, one.needs)
        for one in ordered[:MOST_ROWS]
    ]
    lines = [table(header, rows)]
    if rest := Counter(str(one.verdict.outcome) for one in ordered[MOST_ROWS:]):
        counted = ", ".join(f"{number} {outcome}" for outcome, number in rest.items())
        lines.append(f"and {rest.total()} more: {counted}; --json has all")
    baselines = {one.study: one.baseline for one in answers}
    return "\n".join([*lines, "", *(f"{study}: {baseline}" for study, baseline in baselines.items())])


def _gain(answer: Answer) -> float:
    return answer.verdict.gain if math.isfinite(answer.verdict.gain) else -math.inf


def unreliable_text(answers: Sequence[Answer]) -> str:
    """A warning if a baseline often fails to train; empty if none does."""
    baselines = {one.study: one.baseline for one in answers}
    bad = [f"{one.name} of {study}" for study, one in baselines.items() if one.did_not_train > SELDOM * one.runs]
    if not bad:
        return ""
    return (
        f"the baseline {', '.join(bad)} often did not train, so its verdicts say little about networks that do: train "
        "longer (--epochs, --budget), or change what keeps it from training (--lr, --set network.norm=batch)."
    )


def best_text(answers: Sequence[Answer]) -> str:
    """The best variant of each study with its probability to be that."""
    lines = []
    for study, baseline in {one.study: one.baseline.name for one in answers}.items():
        chances = {one.variant: one.chance for one in answers if one.study == study and one.chance is not None}
        if not chances:
            lines.append(f"{study}: none trains")
            continue
        chances[baseline] = 1 - sum(chances.values())
        best = max(chances, key=lambda name: chances[name])
        lines.append(f"{study}: best is {best}, with probability {chances[best]:.0%}")
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
