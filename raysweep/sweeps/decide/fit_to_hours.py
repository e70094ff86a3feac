"""The length at which the first runs of `raysweep decide` fit into the hours, or what could be asked in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.deciding.looks import FIRST_RUNS, baseline_runs
from raysweep.deciding.race import Question
from raysweep.errors import RaysweepError
from raysweep.fitting import FIRST_SHARE, FIXED_SHARE, Fit, Problem, fit, schedule_settings
from raysweep.patch import Times
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.units import rough_duration

if TYPE_CHECKING:
    from raysweep.pace import Pace

ROOM = 1.05
"""Advised budgets are this many times the least, so that they suffice after rounding."""
EPOCHS, FRACTION = "training.epochs", "data.train_fraction"


@dataclass(frozen=True)
class Hours:
    """The time that there is, and the speed of the machine."""

    budget_s: float
    workers: int
    pace: Pace
    extra_runs: int = 0
    """Runs of calibration, controls and the final comparison."""


def choices(
    asked: Request, plan: Sequence[PlannedTrial], questions: Mapping[str, Question], hours: Hours
) -> tuple[dict[str, Any], list[str]]:
    """The settings that fit the first runs into the hours, with the reasons.

    Raises:
        RaysweepError: too few hours; the message says what fits.
    """
    given = asked.settings
    patches = [variant.patch for study in asked.find_studies() for variant in study.variants]
    about_schedule = any(path.startswith("schedule.") for path in given)
    schedule = {} if about_schedule else schedule_settings(patches)
    problem = problem_of(asked, plan, questions, hours, patches)
    found = fit(problem)
    budget = rough_duration(hours.budget_s)
    if not isinstance(found, Fit):
        raise RaysweepError(too_little(budget, found.needed_s, found.variants, questions, problem))
    workers = f"{hours.workers} worker{'s' * (hours.workers > 1)}"
    why = [
        f"{found.epochs:g} epoch{'s' * (found.epochs != 1)} on {100 * found.train_fraction:.3g} % of the training "
        f"images, {found.updates:,} updates: the "
        f"first runs take {rough_duration(found.first_s)} of {budget} on {workers}, at most {FIRST_SHARE:.0%}"
    ]
    if found.extra_s:
        why[0] += f"; calibration, controls and the final comparison {rough_duration(found.extra_s)}"
    if schedule:
        why.append("learning rate: a straight line to zero, the best schedule for a fixed number of updates")
    return {**found.settings, **schedule}, why


def problem_of(
    asked: Request,
    plan: Sequence[PlannedTrial],
    questions: Mapping[str, Question],
    hours: Hours,
    patches: Iterable[Mapping[str, Any]],
) -> Problem:
    """The first runs of all studies, each line once, as a problem of fitting."""
    study, question = next(iter(questions.items()))
    recipes = {f"{m.study}/{m.variant}": one for one in plan for m in one.members[:1]}
    by_place = {(m.study, m.variant): one.recipe for one in plan for m in one.members}
    baseline = by_place[study, question.baseline]
    speeds = {name: hours.pace.speed(one.recipe, baseline, one.cost) for name, one in recipes.items()}
    others = {name: speeds[name] for name, one in recipes.items() if one.recipe != baseline}
    most = max(baseline_runs(FIRST_RUNS, len(one.rivals)) for one in questions.values())
    return Problem(
        baseline=hours.pace.speed(baseline, baseline),
        variants=others,
        budget_s=hours.budget_s,
        workers=hours.workers,
        recipe=baseline,
        extra_runs=hours.extra_runs,
        baseline_runs=lambda number: min(most, baseline_runs(FIRST_RUNS, max(1, number))),
        epochs=fixed(EPOCHS, asked, baseline, patches),
        train_fraction=fixed(FRACTION, asked, baseline, patches),
    )


def fixed(path: str, asked: Request, baseline: Recipe, patches: Iterable[Mapping[str, Any]]) -> float | None:
    """The baseline's value of a field that the user has set, or that a variant is about; None if it may be chosen."""
    section, _, name = path.partition(".")
    if path in asked.settings or any(path in changes and not isinstance(changes[path], Times) for changes in patches):
        return float(getattr(getattr(baseline, section), name))
    return None


def too_little(
    budget: str, needed_s: float, variants: Sequence[str], questions: Mapping[str, Question], problem: Problem
) -> str:
    """The message about a budget that is too small: what it would take, and what it is enough for."""
    number = f"{len(problem.variants)} variant{'s' * (len(problem.variants) > 1)} of {', '.join(questions)}"
    names = ",".join(dict.fromkeys(name.partition("/")[2] for name in variants))
    instead = f", or ask in {budget} only about `--variants {names}`" if names else ""
    before = ", with calibration, controls and the final comparison" * (problem.extra_runs > 0)
    return (
        f"--budget {budget} is too small for {number}: two runs of each and those of the baseline{before}, may take "
        f"{FIXED_SHARE if before else FIRST_SHARE:.0%} of it. Raise it to {rough_duration(ROOM * needed_s)}{instead}."
    )
