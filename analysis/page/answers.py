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
from raysweep.store.asked_questions import AskedQuestion, Step
from raysweep.units import brief, rough_duration

MOST_ROWS = 20
"""Most verdicts in an answer; the table of the study has all."""
MOST_STEPS = 200
SHOWN = ("calibrate", "final", "warning")
"""Kinds of steps that have a place of their own."""
RATE_MARK = "depends on the learning rate"
LASTING = {"holds": "holds at twice the length", "fades": "fades at twice the length", "turns": "turns with the length"}
"""Outcome of a longer training -> its mark."""
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
        "steps": [step.text or step.kind for step in question.steps if step.kind not in SHOWN][:MOST_STEPS],
        "later": later(line, question),
    }


def sentence(line: Line, question: AskedQuestion) -> str:
    """The answer so far: the final comparison in the words of the log, or else what the verdicts amount to."""
    final = [step.text for step in question.of_kind("final") if step.text]
    if final:
        return final[-1]
    found = judged(line, question)
    better = [name for name, one in found.items() if one.verdict == Outcome.BETTER]
    open_ = question.open
    rest = f"; {open_} of {len(question.verdicts)} undecided" if open_ else ""
    if not better:
        return f"Nothing is better than {question.baseline}{' so far' if open_ else ''}{rest}."
    best = max(better, key=lambda name: found[name].gain)
    others = f", the largest gain of {len(better)} that are" if len(better) > 1 else ""
    doubt = f", which {'; '.join(marks(question)[best])}" if best in marks(question) else ""
    return f"{best} is better than {question.baseline}: {gain_text(found[best])} points{doubt}{others}{rest}."


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
    """What makes the verdicts doubtful, once each: controls that failed, and warnings of the log."""
    failed = [step.text for step in question.of_kind("control") if step.row.get("outcome") == "failed"]
    return list(dict.fromkeys(text for text in [*failed, *(step.text for step in question.of_kind("warning"))] if text))


def choices(question: AskedQuestion) -> list[str]:
    """The choices made before the verdicts, with their reasons."""
    settings = ", ".join(f"{path}={brief(value)}" for path, value in question.settings.items())
    fitted = list(question.why) or ([f"chosen to fit the time: {settings}"] if settings else [])
    return [*fitted, *(step.text for step in question.of_kind("calibrate") if step.text)]


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
    found: dict[str, list[str]] = {}
    for step in question.steps:
        if mark := _mark(step):
            found.setdefault(step.variant, []).append(mark)
    return found


def _mark(step: Step) -> str:
    if step.kind == "rate" and step.row.get("turns") is True:
        return f"{RATE_MARK}{_there(step)}"
    if step.kind == "lasting" and (text := LASTING.get(str(step.row.get("outcome")))):
        gain = step.number("gain")
        return text if math.isnan(gain) else f"{text} ({METRICS['gain'].text(gain)})"
    return ""


def _there(step: Step) -> str:
    """The gain at the other learning rate."""
    factor, gain = step.number("factor"), step.number("gain")
    return "" if math.isnan(factor + gain) else f" ({METRICS['gain'].text(gain)} at {factor:g} times the rate)"


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
