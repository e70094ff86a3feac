"""What a line shows of its trials: means, gains over the baseline, and their verdicts.

Every gain is a contrast of the page that the line is on (`contrasts.py`), so that equal trials have equal numbers
wherever they are shown. Runs that did not train (diverged, or at the accuracy of guessing) enter no mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from raysweep.analysis.contrasts import LEVEL, MARGIN, Contrast, Contrasts, Group, Pair, Raced
from raysweep.analysis.load import FINISHED, Line, once_a_line
from raysweep.analysis.metrics import METRICS, Metric
from raysweep.deciding.verdicts import Verdict, outcome_of
from raysweep.store.asked_questions import Step

CONFIDENCE = 1 - LEVEL
FAR = 3.0
MEAN_INTERVAL = f"{CONFIDENCE:.0%} interval".replace("%", " %")
"""The name of the interval of a mean over seeds."""
INTERVAL = "interval of the gain, adjusted for all contrasts of the page"
"""The name of the interval of a gain over the baseline."""


@dataclass(frozen=True)
class Estimate:
    """A mean over n values with the half-width of its interval, which is not a number for fewer than two values."""

    mean: float
    half: float
    n: int

    def row(self, name: str = "gain") -> dict[str, float]:
        """The columns of a figure's frame: the mean under a name, `half` and `n`."""
        return {name: self.mean, "half": self.half, "n": self.n}

    def text(self, metric: Metric) -> str:
        """The mean with its half-width if there is one, or a dash."""
        return metric.text(self.mean) + ("" if math.isnan(self.half) else f" ± {self.half:.1f}")


NO_ESTIMATE = Estimate(math.nan, math.nan, 0)


def on_one_page(lines: Iterable[Line], margin: float = MARGIN) -> list[Line]:
    """The lines, with the contrasts of all of them together; `margin` is the smallest gain that matters, in points."""
    lines = list(lines)
    shared = Contrasts([pair for line in lines for pair in _pairs(line)], margin, raced(lines))
    return [replace(line, contrasts=shared) for line in lines]


def _pairs(line: Line) -> list[tuple[Group, Group]]:
    """Each variant with its baseline."""
    found = groups(line)
    return [(found[name], found[line.baseline]) for name in compared(line)]


def raced(lines: Iterable[Line]) -> dict[Pair, Raced]:
    """What `raysweep decide` says of the pairs of variants of these lines that it was asked about.

    Of several questions about the same runs, the one that has looked at most of them counts, then the one with the
    wider interval, which allows for more variants. The final comparison of a question is the contrast of its trials.
    """
    lines = list(lines)
    found: dict[Pair, list[Raced]] = {}
    for line in lines:
        for question in line.asked:
            runs = groups(line)
            base = runs[line.baseline].trials
            for name, verdict in question.verdicts.items():
                own = runs[name].trials if name in runs else frozenset()
                if own and set(question.trials[name]) <= own:
                    found.setdefault((own, base), []).append(Raced(verdict, question.margin))
    return {pair: max(ones, key=_strictness) for pair, ones in found.items()} | finals(lines)


def finals(lines: Sequence[Line]) -> dict[Pair, Raced]:
    """The contrasts of the final comparisons of questions, as far as their trials are among these lines."""
    last = {
        str(step.row.get("trial")): (step, question.margin)
        for line in lines
        for question in line.asked
        for step in question.of_kind("final")
    }
    pairs = [pair for line in lines for pair in _pairs(line)] if last else []
    return {
        (own.trials, base.trials): Raced(verdict, margin)
        for own, base in pairs
        for step, margin in (last[trial] for trial in own.trials & last.keys())
        if (verdict := _final_verdict(step, margin, own))
    }


def _final_verdict(step: Step, margin: float, own: Group) -> Verdict | None:
    gain, low, high = (step.number(part) for part in ("gain", "low", "high"))
    known = not math.isnan(gain + low + high)
    return Verdict(outcome_of(low, high, margin), gain, low, high, own.ended, own.failed) if known else None


def _strictness(one: Raced) -> tuple[int, float]:
    return one.verdict.runs, one.verdict.high - one.verdict.low


@once_a_line
def page(line: Line) -> Contrasts:
    """The contrasts of the page that a line is on; its own ones if it is shown alone."""
    return line.contrasts or Contrasts(_pairs(line), raced=raced([line]))


@once_a_line
def groups(line: Line) -> dict[str, Group]:
    """Variant -> its runs, with values in points of top-1."""
    table, failed = tops(line), Counter(line.untrained["variant"])
    ended = pd.concat([line.trained, line.untrained]).groupby("variant")["trial"].agg(frozenset)
    return {
        name: Group(
            ended.get(name, frozenset()),
            line.protocol,
            dict(zip(table.index[table[name].notna()].tolist(), table[name].dropna().tolist(), strict=True)),
            failed[name],
        )
        for name in line.variants
    }


@once_a_line
def comparisons(line: Line) -> dict[str, Contrast]:
    """Variant -> its contrast with the baseline, in points of top-1; empty for an architecture search."""
    return {name: contrast(line, name, line.baseline) for name in compared(line)}


def compared(line: Line) -> list[str]:
    """The variants that have a baseline to be compared with."""
    return [] if line.is_architecture_search else [name for name in line.variants if name != line.baseline]


def contrast(line: Line, variant: str, against: str) -> Contrast:
    """The contrast of two variants of a line, in points of top-1."""
    found = groups(line)
    return page(line).contrast(found[variant], found[against])


def as_estimate(found: Contrast) -> Estimate:
    """The gain of a contrast with its half-width and number of runs."""
    return Estimate(found.gain, found.half, found.n)


def gains(line: Line) -> dict[str, Estimate]:
    """Variant -> gain in points of top-1 over the baseline, which is 0 for the baseline by definition."""
    own = {line.baseline: Estimate(0.0, math.nan, len(groups(line)[line.baseline].values))}
    found = own | {name: as_estimate(one) for name, one in comparisons(line).items()}
    return {name: found.get(name, NO_ESTIMATE) for name in line.variants}


def top1(line: Line) -> dict[str, Estimate]:
    """Variant -> mean top-1 over the runs that trained, in points, with its own 95 % interval."""
    return {name: Estimate(*page(line).mean(group), len(group.values)) for name, group in groups(line).items()}


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student-t interval of independent values."""
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else math.nan, math.nan, n)
    series = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * series.std(ddof=1) / math.sqrt(n)
    return Estimate(float(series.mean()), float(half), n)


def near(values: pd.Series) -> pd.Series:
    """The values within `FAR` interquartile ranges of the quartiles, which an axis is scaled to."""
    first, third = values.quantile(0.25), values.quantile(0.75)
    unit = max(third - first, 0.05 * (values.max() - values.min()))
    return values[values.between(first - FAR * unit, third + FAR * unit)]


@once_a_line
def tops(line: Line) -> pd.DataFrame:
    """Final top-1 in points: one row per seed, one column per variant; NaN for runs that did not finish or train."""
    table = line.trained.pivot_table(index="seed", columns="variant", values="top1")
    return 100 * table.reindex(columns=line.variants)


def run_gains(line: Line) -> dict[str, list[float]]:
    """Variant -> each run that trained minus the mean of the baseline, in points of top-1."""
    table = tops(line)
    over = table - table[line.baseline].mean()
    return {name: [float(gain) for gain in over[name].dropna()] for name in line.variants}


def over_seeds(epochs: pd.DataFrame, metric: str, by: Sequence[str]) -> pd.DataFrame:
    """`mean`, `low` and `high` over seeds of a metric of epochs, in the unit of its label, for each group."""
    values = epochs.assign(value=METRICS[metric].of).groupby(list(by))["value"]
    return values.agg(mean="mean", low="min", high="max").reset_index()


def ends(trials: pd.DataFrame, but: str = "") -> dict[str, str]:
    """Variant -> the statuses of its trials with their counts; the status `but` is left out."""
    counts = Counter(zip(trials["variant"], trials["status"], strict=True))
    totals = Counter(trials["variant"])
    found: dict[str, list[str]] = {}
    for (variant, status), count in sorted(counts.items()):
        if status != but:
            share = f"{count}" if count == totals[variant] else f"{count} of {totals[variant]}"
            found.setdefault(variant, []).append(f"{share} {status}")
    return {variant: ", ".join(words) for variant, words in found.items()}


def unfinished(line: Line) -> dict[str, str]:
    """Variant -> its trials that have not finished or did not train, with their counts; only variants with any."""
    return statuses(line, but=FINISHED)


def statuses(line: Line, but: str = "") -> dict[str, str]:
    """`ends` of a line, with the number of finished trials that have the accuracy of guessing."""
    found = ends(line.trials, but)
    guesses = Counter(line.untrained.loc[line.untrained["status"] == FINISHED, "variant"])
    for name, count in guesses.items():
        found[name] = ", ".join(filter(None, [found.get(name, ""), f"{count} at the accuracy of guessing"]))
    return found


def untrained(line: Line) -> dict[str, str]:
    """Variant -> how many of its runs did not train; only variants with any."""
    return {
        name: f"{group.failed} of {group.ended} did not train" for name, group in groups(line).items() if group.failed
    }
