"""What may be claimed of a variant after a look at its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from raysweep.deciding.spread import Runs, Spread, gain_interval
from raysweep.errors import RaysweepError


class Outcome(StrEnum):
    """The answer to a question about one variant."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"
    DID_NOT_TRAIN = "did not train"
    UNDECIDED = "undecided"

    @property
    def decided(self) -> bool:
        """Whether no more runs are needed."""
        return self is not Outcome.UNDECIDED


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a variant, with the estimate and the interval it follows from.

    `gain`, `low` and `high` are differences from the baseline in the unit of the measurements, over the runs that
    trained; they are nan where too few did. `failed` of `runs` runs did not train.
    """

    outcome: Outcome
    gain: float
    low: float
    high: float
    runs: int
    failed: int

    def __str__(self) -> str:
        return f"{self.outcome} ({self.failed} of {self.runs})" if self.failed else str(self.outcome)


def guessing(outputs: int) -> float:
    """The top-1 (0..1) up to which a run did not train: half as much again as guessing, and at most 5 points more.

    With two classes, one and a half times as much would be 75 %, which a hard question may not reach at all.
    """
    return 1 / outputs + min(0.5 / outputs, 0.05)


UNSEEN = Verdict(Outcome.UNDECIDED, math.nan, -math.inf, math.inf, 0, 0)


def check_margin(margin: float) -> None:
    """Refuses a margin that is not a positive number.

    Raises:
        RaysweepError: it is not.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise RaysweepError(f"margin {margin:g}: pass the smallest gain that matters to you, above 0.")


def trained(values: Sequence[float | None]) -> list[float]:
    """The values of runs that trained."""
    return [value for value in values if value is not None]


def judge(
    variant: Sequence[float | None], baseline: Sequence[float | None], spread: Spread, level: float, margin: float
) -> Verdict:
    """The verdict of a test at this two-sided `level`; None stands for a run that did not train.

    A variant is called better or worse when the interval of its gain excludes 0, and equal when the interval lies
    within the margin on both sides of 0.
    """
    values, reference = trained(variant), trained(baseline)
    failed = len(variant) - len(values)
    gain, low, high = _interval(values, reference, spread, level)
    outcome = outcome_of(low, high, margin)
    if fails_more(failed, len(variant), len(baseline) - len(reference), len(baseline), level):
        outcome = Outcome.DID_NOT_TRAIN
    return Verdict(outcome, gain, low, high, len(variant), failed)


def _interval(
    values: Sequence[float], reference: Sequence[float], spread: Spread, level: float
) -> tuple[float, float, float]:
    if not values or not reference:
        return math.nan, -math.inf, math.inf
    variant, baseline = Runs.of(values), Runs.of(reference)
    if not variant.df:
        return variant.mean - baseline.mean, -math.inf, math.inf
    return gain_interval(variant, baseline, spread, level)


def outcome_of(low: float, high: float, margin: float) -> Outcome:
    """What the interval of a gain says of a margin."""
    if low > 0:
        return Outcome.BETTER
    if high < 0:
        return Outcome.WORSE
    return Outcome.EQUAL if -margin < low and high < margin else Outcome.UNDECIDED


def fails_more(failed: int, runs: int, baseline_failed: int, baseline_runs: int, level: float) -> bool:
    """Whether a variant fails to train where the baseline does not, or more often by Fisher's exact test (1935)."""
    if not failed or not baseline_failed:
        return bool(failed)
    return rate_p(failed, runs, baseline_failed, baseline_runs) <= level


def rate_p(failed: int, runs: int, baseline_failed: int, baseline_runs: int) -> float:
    """One-sided p-value of Fisher's exact test (1935) that a variant fails to train more often than the baseline."""
    table = [[failed, runs - failed], [baseline_failed, baseline_runs - baseline_failed]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)
