"""`race`: runs a race of anything that can be measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.deciding.allocation import next_step, standing
from raysweep.deciding.looks import LOOKS
from raysweep.deciding.race import Job, Question, Race
from raysweep.deciding.race_log import RaceLog, Result, open_log
from raysweep.deciding.spread import GainError, Runs, Spread
from raysweep.deciding.verdicts import Outcome, Verdict
from raysweep.errors import RaysweepError

Measure = Callable[[str, int], float | None]
Costs = Mapping[str, float] | Callable[[str], float]
Carry = Callable[["Session", Measure], None]
"""Carries out all jobs of a session and reports their results to it."""


@dataclass(frozen=True)
class RaceResult:
    """The end of a race, or its state at the point where it stopped."""

    verdicts: dict[str, Outcome]
    """better, worse, equal, did not train, or undecided: of every variant but the baseline."""
    gains: dict[str, tuple[float, float, float]]
    """Gain over the baseline and the interval that the verdict follows from."""
    details: dict[str, Verdict]
    """The same with numbers of runs and of those that did not train."""
    chances: dict[str, float]
    """Probability of each variant, baseline included, to be the best one."""
    more_runs: dict[str, int | None]
    """Runs that an undecided variant needs until it is decided if its estimate holds; None for more than 100 in all."""
    trials: list[Result]
    """(variant, seed, value) in the order of arrival; the value is None for a run that did not train."""
    spent: float
    """What the trials have cost, in the unit of the budget."""

    @property
    def best(self) -> str | None:
        """The variant with the highest probability to be the best one; None if none trained."""
        return max(self.chances, key=lambda name: self.chances[name], default=None)

    def __str__(self) -> str:
        lines = []
        for name, verdict in self.details.items():
            more = self.more_runs.get(name)
            needs = f" (needs about {more} more)" if more else ""
            interval = f"{verdict.gain:+.2f} [{verdict.low:+.2f}, {verdict.high:+.2f}]"
            lines.append(f"{name:<24} {verdict!s:<22} {interval:<28} {verdict.runs} runs{needs}")
        return "\n".join(lines)


@dataclass
class Session:
    """A race within a budget: hands out runs and takes their results, one after the other or many at a time."""

    race: Race
    log: RaceLog
    budget: float = math.inf
    trials: list[Result] = field(default_factory=list)
    running: set[Job] = field(default_factory=set)

    def __post_init__(self) -> None:
        for variant, seed, value in self.log.results:
            self._take(variant, seed, value)
        race, baseline = self.race, self.race.question.baseline
        least = self.spent + race.cost(race.due())
        if least > self.budget:
            raise RaysweepError(
                f"the budget of {self.budget:g} is too small: {race.targets[baseline]} runs of the baseline and two of "
                f"each of {len(race.question.rivals)} variants cost {least:g}. Raise it, or ask about fewer variants."
            )

    @property
    def spent(self) -> float:
        """What finished runs have cost."""
        return self.race.cost([(variant, seed) for variant, seed, _ in self.trials])

    def next_job(self) -> Job | None:
        """The next run; None if nothing more can be started now. The race is over if nothing is running either."""
        waiting = [job for job in self.race.due() if job not in self.running]
        if not waiting:
            step = next_step(self.race, self.budget - self.spent - self.race.cost(list(self.running)))
            if step is None:
                return None
            self.race.aim(step.jobs)
            return self.next_job()
        self.running.add(waiting[0])
        return waiting[0]

    def report(self, variant: str, seed: int, value: float | None) -> None:
        """Takes the result of a run, which is in the log before it counts."""
        value = value if value is not None and math.isfinite(value) else None
        self.log.add(variant, seed, value)
        self._take(variant, seed, value)

    def _take(self, variant: str, seed: int, value: float | None) -> None:
        self.running.discard((variant, seed))
        self.trials.append((variant, seed, value))
        self.race.tell(variant, seed, value)

    def result(self) -> RaceResult:
        """What can be said now."""
        details = dict(self.race.verdicts)
        now = standing(self.race)
        return RaceResult(
            verdicts={name: verdict.outcome for name, verdict in details.items()},
            gains={name: (verdict.gain, verdict.low, verdict.high) for name, verdict in details.items()},
            details=details,
            chances=now.best() if now else {},
            more_runs={name: more_runs(self.race, name) for name, v in details.items() if not v.outcome.decided},
            trials=list(self.trials),
            spent=self.spent,
        )


def more_runs(race: Race, name: str) -> int | None:
    """Further runs that decide about a variant if its estimate holds; None if the last look would not."""
    variant, baseline, spread = race.runs.get(name), race.runs.get(race.question.baseline), race.spread()
    if spread is None or variant is None or baseline is None:
        return None
    gain = abs(variant.mean - baseline.mean)
    for look in LOOKS:
        half = _half_width(race, variant, look.runs, race.level() * look.share, spread)
        if look.runs > race.verdicts[name].runs and (gain > half or gain + half < race.question.margin):
            return look.runs - race.verdicts[name].runs
    return None


def _half_width(race: Race, variant: Runs, runs: int, level: float, spread: Spread) -> float:
    baseline = Runs(race.baseline_runs_of(runs), 0.0, spread.variance)
    return GainError.of(Runs(runs, variant.mean, variant.variance), baseline, spread).half_width(level)


def run_race(
    question: Question, measure: Measure, budget: float, cost: Costs | None, log: Path | None, carry: Carry
) -> RaceResult:
    """Runs a race to its end or to that of its budget; see `raysweep.race`."""
    with open_log(log, question) as opened:
        session = Session(Race(question, _costs(question.variants, cost)), opened, budget)
        carry(session, measure)
        return session.result()


def one_by_one(session: Session, measure: Measure) -> None:
    """Carries out the jobs of a session in this process, one after the other."""
    while job := session.next_job():
        session.report(*job, measure(*job))


def _costs(variants: Sequence[str], cost: Costs | None) -> dict[str, float]:
    if cost is None:
        return {}
    costs = {name: float(cost(name) if callable(cost) else cost.get(name, math.nan)) for name in variants}
    for name, value in costs.items():
        if not (value > 0 and math.isfinite(value)):
            raise RaysweepError(f"cost of {name!r} is {value:g}: pass a positive cost of one run for every variant.")
    return costs
