"""The steps of `raysweep decide` as one stream of trials, so that one sweep trains all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from raysweep.fitting import FIRST_SHARE
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.store.decision_log import TURNS
from raysweep.sweeps.decide.calibrate import calibrate
from raysweep.sweeps.decide.combine import combine, compare_finally, final_s
from raysweep.sweeps.decide.controls import ensure_length
from raysweep.sweeps.decide.judged import winners
from raysweep.sweeps.decide.lab import Lab, Step, Work
from raysweep.sweeps.decide.lasting import check_lasting
from raysweep.sweeps.decide.rate_check import check_rates
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.tune_rates import tune_rates
from raysweep.train.task import TrialTask

CHECKED = 4
"""Runs that the checks of the rate need of the time that the race leaves."""
LATER = 100
"""Trials that later steps may need: the pool keeps workers for them."""


def decide_steps(
    lab: Lab, open_races: Callable[[Lab], StudyRaces], race_only: bool = False, tunes_rates: bool = False
) -> Step[None]:
    """All steps, in order."""
    if not race_only:
        yield from calibrate(lab)
        lab.keep_choices([row["text"] for row in lab.logged("calibrate")])
        yield from ensure_length(lab)
    if tunes_rates:
        yield from tune_rates(lab)
    races = open_races(lab)
    if race_only:
        yield races
        return
    reserved_s = yield from race(lab, races)
    if races.failed:
        return
    doubtful = yield from check_rates(lab, races, reserved_s)
    yield from check_lasting(lab, races, reserved_s)
    doubtful += [f"{row['study']}/{row['variant']}" for row in lab.logged("lasting") if row["outcome"] == TURNS]
    yield from compare_finally(lab, races, (yield from combine(lab, races, doubtful)))


def race(lab: Lab, races: StudyRaces) -> Step[float]:
    """Race within the time that checks and the final comparison leave; returns the seconds that the latter needs.

    If nothing is better when that time is over, nothing is to be checked or compared, and the race has all of it.
    """
    base = lab.baseline()
    reserved_s = final_s(lab, base, base)
    after_s = reserved_s + CHECKED * lab.seconds(base) / lab.budget.workers
    races.races.budget = lab.budget.part(max(FIRST_SHARE, 1 - after_s / lab.budget.seconds))
    yield races
    if winners(races):
        return reserved_s
    races.races.budget = lab.budget
    yield races
    return reserved_s if winners(races) else 0.0


@dataclass
class Stream:
    """Hands out the trials of the steps, one step after the other, as `orchestrate.nas_searcher` takes them."""

    lab: Lab
    steps: Iterator[Work]
    current: Work | None = None

    @property
    def tasks(self) -> dict[str, TrialTask]:
        """Trials handed out, by id."""
        return self.lab.trials.tasks

    @property
    def example(self) -> Recipe:
        """The recipe of a typical trial: the baseline."""
        return self.lab.baseline().recipe

    @property
    def waiting(self) -> Mapping[str, Any]:
        """The trials in progress."""
        return self.current.waiting if self.current else {}

    def next(self) -> TrialTask | None:
        """The next trial to train. None if it depends on a trial in progress, or if all steps are over."""
        while True:
            if self.current and ((task := self.current.next()) or self.current.waiting):
                return task
            self.current = next(self.steps, None)
            if self.current is None:
                return None

    def in_turn(self) -> Iterator[TrialTask | None]:
        """The trials to train one at a time; None if the next one depends on a trial in progress."""
        while (task := self.next()) or self.waiting:
            yield task

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Report the end of a trial."""
        if self.current:
            self.current.end(trial, status, error)

    def planned(self, trial: str) -> PlannedTrial:
        """A trial as progress shows it."""
        return self.lab.trials.planned(trial)

    def most_left(self) -> int:
        """The largest number of trials in progress and to come, about."""
        return (self.current.most_left() if self.current else 0) + LATER

    def expected_left(self, ended: Set[str] = frozenset()) -> int:
        """The number of trials in progress and expected to come in this step, without those in `ended`."""
        return self.current.expected_left(ended) if self.current else 0
