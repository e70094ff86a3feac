"""The variants of a race with their recipes: what later steps check, prolong and combine."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from raysweep.deciding.allocation import standing
from raysweep.deciding.race import Race
from raysweep.deciding.spread import Runs, Spread
from raysweep.deciding.verdicts import Outcome, Verdict
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.trials import Entry


@dataclass(frozen=True)
class Judged:
    """A decided variant with its recipe."""

    study: str
    variant: str
    verdict: Verdict
    entry: Entry
    baseline: Entry
    reference: Runs
    """The runs of the baseline that trained."""
    spread: Spread | None


def size(one: Judged) -> float:
    """The size of a gain or loss, 0 if it is not known."""
    return abs(one.verdict.gain) if math.isfinite(one.verdict.gain) else 0.0


def judged(races: StudyRaces, outcomes: Collection[Outcome]) -> list[Judged]:
    """The variants with these outcomes, those of the largest gains or losses first."""
    found = []
    for study, race in races.races.races.items():
        if not (reference := race.runs.get(race.question.baseline)):
            continue
        baseline = races.entries[races.races.lines[study, race.question.baseline]]
        for variant, verdict in race.verdicts.items():
            if verdict.outcome in outcomes:
                entry = races.entries[races.races.lines[study, variant]]
                found.append(Judged(study, variant, verdict, entry, baseline, reference, race.spread()))
    return sorted(found, key=size, reverse=True)


def winners(races: StudyRaces) -> list[Judged]:
    """What is better; where only the best one is asked for, that one, decided or not, unless it is the baseline."""
    every = judged(races, set(Outcome))
    best = {study: best_of(race) for study, race in races.races.races.items() if race.question.goal == "best"}
    return [
        one
        for one in every
        if (one.variant == best[one.study] if one.study in best else one.verdict.outcome is Outcome.BETTER)
    ]


def goal_of(races: StudyRaces) -> str:
    """The goal of the command."""
    return next(iter(races.races.races.values())).question.goal


def best_of(race: Race) -> str:
    """The variant, or baseline, that is most probably the best one; empty if none is known."""
    chances = now.best() if (now := standing(race)) else {}
    return max(chances, key=lambda name: chances[name], default="")
