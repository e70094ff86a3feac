"""The answers of `raysweep decide` on a page: a sentence, warnings, verdicts with their marks, and the choices made.

What a final run, a control or a second look has found is in the words of the log; verdicts are the contrasts of the
page, so that the answer cannot differ from the table and the figures below it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from raysweep.analysis.contrasts import NOTHING, ONE_SEED, Contrast
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.page.words import points
from raysweep.analysis.statistics.comparisons import comparisons, groups
from raysweep.deciding.verdicts import Outcome
from raysweep.safe import command
from raysweep.store.asked_questions import AskedQuestion, Step
from raysweep.store.decision_log import FADES, HOLDS, LONGER, RATE_MARK, TURNS
from raysweep.units import as_set, rough_duration

MOST_ROWS = 20
"""Most verdicts in an answer; the table of the study has all."""
MOST_STEPS = 200
SHOWN = ("calibrate", "final", "warning")
"""Kinds of steps that have a place of their own."""
OPEN = (Outcome.UNDECIDED, ONE_SEED, NOTHING)
COLUMNS = ("variant", "verdict", "gain", "gain_half", "runs", "did_not_train", "marks")


def answer(line: Line, question: AskedQuestion) -> dict[str, Any]:
    """The values that a template shows of a question."""
    verdicts = verdict_table(line, question)
    return {
        "sentence": sentence(line, question),
        "state": state(question),
        "promise": promise(question),
        "warnings": warnings(question),
        "table": readable(verdicts.head(MOST_ROWS)) if len(verdicts) else None,
        "more": max(0, len(verdicts) - MOST_ROWS),
        "choices": choices(question),
        "steps": [str(step) for step in question.steps if step.kind not in SHOWN][:MOST_STEPS],
        "later": later(line, question),
        "recipe": recipe(question),
    }


def sentence(line: Line, question: AskedQuestion) -> str:
    """The answer so far: the final comparison in the words of the log, or else what the verdicts amount to."""
    final = [step.text for step in question.of_kind("final") if step.row.get("variants") and step.text]
    if final:
        return final[-1]
    baseline, found = question.baseline, judged(line, question)
    if groups(line)[baseline].ended and not groups(line)[baseline].values:
        return f"Nothing can be compared: the baseline {baseline} did not train."
    if not any(verdict.runs for verdict in question.verdicts.values()):
        return f"No variant has been compared with {baseline} yet."
    better = [name for name, one in found.items() if one.verdict == Outcome.BETTER]
    rest = f"; {question.open} of {len(question.verdicts)} undecided" if question.open else ""
    if not better:
        return f"Nothing is better than {baseline}{' so far' if question.open else ''}{rest}."
    best = max(better, key=lambda name: found[name].gain)
    others = f", the largest gain of {len(better)} that are" if len(better) > 1 else ""
    doubt = f", which {'; '.join(marks(question)[best])}" if best in marks(question) else ""
    return f"{best} is better than {baseline}: {gain_text(found[best])} points{doubt}{others}{rest}."


def recipe(question: AskedQuestion) -> str:
    """The command that prints the recipe of the final comparison; empty if there was none."""
    trials = [step.row["trial"] for step in question.of_kind("final") if isinstance(step.row.get("trial"), str)]
    return command("raysweep", "show", trials[-1]) if trials else ""


def judged(line: Line, question: AskedQuestion) -> dict[str, Contrast]:
    """Variant -> its contrast on the page, for the variants of a question that have any run."""
    found = comparisons(line)
    return {name: found[name] for name in question.verdicts if name in found and found[name].ended}


def gain_text(one: Contrast) -> str:
    """The gain of a contrast with the half-width of its interval if there is one."""
    return METRICS["gain"].text(one.gain) + (f" ± {one.half:.1f}" if one.tested else "")


def state(question: AskedQuestion) -> str:
    """Whether a question goes on, why it has stopped, and the time that it has used."""
    used = f"{rough_duration(question.clock_s)} used, {question.decided} of {len(question.verdicts)} decided"
    return f"Stopped: {question.stop}; {used}." if question.stop else f"In progress, or killed: {used}."


def promise(question: AskedQuestion) -> str:
    """The error rate of the verdicts, and what equal means."""
    return (
        f"The probability that any of these verdicts is wrong is at most {100 * question.level:.3g} %, over every look "
        f"and every stop. Equal: within {points(question.margin)} on both sides of 0."
    )


def warnings(question: AskedQuestion) -> list[str]:
    """What makes the verdicts doubtful: the warnings of the log; without any, the controls that have failed last."""
    found = list(dict.fromkeys(step.text for step in question.of_kind("warning") if step.text))
    last = {step.row.get("control"): step for step in question.of_kind("control")}
    return found or [str(step) for step in last.values() if step.row.get("outcome") == "failed"]


def choices(question: AskedQuestion) -> list[str]:
    """The choices made before the verdicts, with their reasons."""
    settings = as_set(question.settings)
    fitted = list(question.why) or ([f"chosen to fit the time: {settings}"] if settings else [])
    return list(dict.fromkeys([*fitted, *(step.text for step in question.of_kind("calibrate") if step.text)]))


def later(line: Line, question: AskedQuestion) -> str:
    """What has ended and was not looked at; empty unless the question has stopped."""
    own = {trial for name in question.variants if name in groups(line) for trial in groups(line)[name].trials}
    left = len(own - {trial for trials in question.trials.values() for trial in trials})
    if not question.stop or not left:
        return ""
    return (
        f"{left} more trials of these variants have ended since: they are in the means, and in no verdict. The same "
        "decide command takes them in."
    )


def marks(question: AskedQuestion) -> dict[str, list[str]]:
    """Variant -> what a second look at its verdict has found."""
    turned: dict[str, list[str]] = {}
    for step in question.of_kind("rate"):
        if step.row.get("turns") is True:
            turned.setdefault(step.variant, []).append(_at_rate(step))
    found = {name: [f"{RATE_MARK} ({', '.join(where)})"] for name, where in turned.items()}
    for step in question.of_kind("lasting"):
        if (outcome := step.row.get("outcome")) in (HOLDS, FADES, TURNS):
            found.setdefault(step.variant, []).append(f"{outcome} {LONGER} ({_gain(step)})")
    return found


def _at_rate(step: Step) -> str:
    return f"{_gain(step)} at {step.number('factor'):g} x its rate"


def _gain(step: Step) -> str:
    gain = step.number("gain")
    return "did not train" if math.isnan(gain) else METRICS["gain"].text(gain)


def verdict_table(line: Line, question: AskedQuestion) -> pd.DataFrame:
    """One row per variant with any run, decided ones first and the largest gains on top; the columns are `COLUMNS`."""
    marked = marks(question)
    rows = [_row(name, one, marked) for name, one in judged(line, question).items()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("gain", ascending=False, kind="stable")
    return frame.sort_values("verdict", key=lambda verdicts: verdicts.isin(OPEN), kind="stable", ignore_index=True)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text with headings; without a column of marks if there is none."""
    columns = {
        "variant": frame["variant"],
        "verdict": frame["verdict"],
        METRICS["gain"].label: frame["gain"].map(METRICS["gain"].text),
        "interval": [_interval(gain, half) for gain, half in zip(frame["gain"], frame["gain_half"], strict=True)],
        "runs": [_runs(runs, failed) for runs, failed in zip(frame["runs"], frame["did_not_train"], strict=True)],
    }
    return pd.DataFrame(columns | ({"marks": frame["marks"]} if frame["marks"].any() else {}))


def _interval(gain: float, half: float) -> str:
    signed = METRICS["gain"].text
    return METRICS["gain"].text(math.nan) if math.isnan(half) else f"[{signed(gain - half)}, {signed(gain + half)}]"


def _runs(runs: int, failed: int) -> str:
    return f"{runs}, {failed} did not train" if failed else str(runs)


def _row(name: str, one: Contrast, marked: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "variant": name,
        "verdict": str(one.verdict),
        "gain": one.gain,
        "gain_half": one.half,
        "runs": one.ended,
        "did_not_train": one.failed,
        "marks": "; ".join(marked.get(name, [])),
    }
