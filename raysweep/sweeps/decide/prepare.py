"""Prepare `raysweep decide`: check the request, and fit its studies to the hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.deciding.budget import Budget
from raysweep.deciding.race import Question, Race
from raysweep.deciding.studies import Races
from raysweep.errors import RaysweepError
from raysweep.fitting import LEAST_UPDATES
from raysweep.identity import changes as changed_fields
from raysweep.identity import digest, line_id
from raysweep.planning import PlannedTrial, possible
from raysweep.request import Request
from raysweep.study import find_study
from raysweep.sweeps.decide.calibrate import FACTORS
from raysweep.sweeps.decide.controls import SEEDS
from raysweep.sweeps.decide.fit_to_hours import Hours, choices
from raysweep.sweeps.decide.lab import FINAL_SEEDS, RATE
from raysweep.sweeps.decide.request import DecideRequest, names_of
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_sweep import check, left_out
from raysweep.terminal.decisions import FirstRuns
from raysweep.terminal.notes import note
from raysweep.train.task import Placement
from raysweep.units import as_set

if TYPE_CHECKING:
    from raysweep.data.image_sets import ImageSets
    from raysweep.data.manifest import Manifest
    from raysweep.pace import Pace
    from raysweep.store.decision_log import DecisionLog


@dataclass
class Prepared:
    """A request that has passed every check, fitted to the hours. Nothing is stored yet."""

    asked: DecideRequest
    fitted: Request
    plan: Sequence[PlannedTrial]
    """The first trial of every variant at the fitted length."""
    questions: Mapping[str, Question]
    heads: Mapping[str, dict[str, Any]]
    """Study -> the first line of its log."""
    races: Races
    manifests: Sequence[Manifest]
    why: Sequence[str]
    """The choices made, with reasons."""
    pace: Pace
    sets: ImageSets
    extra_runs: int

    @property
    def store_uri(self) -> str:
        """The address of the store."""
        return self.asked.request.store or "results"

    @property
    def judged_on(self) -> str:
        """The images that variants are judged on."""
        held = self.plan[0].recipe.data.holdout
        return (
            f"judged on {100 * held:.3g} % of the training images, held out; the test split was not used"
            if held
            else "judged on the test split: it no longer tells how well the best one does"
        )

    @property
    def short(self) -> str:
        """A warning that training is too short to rank variants; empty if it is not."""
        updates = self.plan[0].recipe.length.iterations
        if updates >= LEAST_UPDATES:
            return ""
        return f"{updates:,} updates are few: verdicts say who learns fastest, which may not be who learns best"

    def first_runs(self) -> list[FirstRuns]:
        """The runs that are due now; those of a line that several variants share stand with the first one."""
        due = Counter(line for line, _ in self.races.due())
        first = [FirstRuns(*self.races.places[line][0], runs, self.races.seconds(line)) for line, runs in due.items()]
        if not self.extra_runs:
            return first
        study = self.asked.request.find_studies()[0]
        each_s = self.races.seconds(self.races.lines[study.name, study.baseline])
        return [
            *first,
            FirstRuns("before and after", "calibration, controls, final comparison", self.extra_runs, each_s),
        ]


def prepare(asked: DecideRequest, resources: Resources) -> Prepared:
    """Check everything that can be checked before training, and fit the length of training to the hours.

    A question that the store has a log of keeps the length that it began with.

    Raises:
        RaysweepError: anything that cannot be used, or too few hours. Nothing has been trained or stored.
    """
    from raysweep.data.image_sets import ImageSets
    from raysweep.sweeps.measured_pace import pace_here
    from raysweep.sweeps.needed_images import find_data
    from raysweep.train.loop import check_trial

    checked = check(asked.asked, resources)
    for planned in checked.omitted:
        note(left_out(planned))
    questions = questions_of(asked, checked.plan)
    heads = {study: head_of(question, checked.plan, study) for study, question in questions.items()}
    logs = open_logs(asked, questions, heads)
    pace = pace_here(asked.asked, note, resources.threads)
    workers = 1 if resources.inline else resources.workers or pace.workers
    used_s = max((row["clock_s"] for log in logs.values() for row in log.of_kind("clock_s")), default=0.0)
    extra = extra_runs(asked, len(checked.plan)) if not logs else 0
    settings, why = earlier_choices(logs) or choices(
        asked.request, checked.plan, questions, Hours(asked.budget_s, workers, pace, extra)
    )
    fitted = asked.asked.with_settings(settings)
    plan = possible(fitted.plan())
    sets = ImageSets(find_data(fitted))
    for planned in plan:
        check_trial(planned.recipe, Placement(world_size=resources.workers_per_trial))
    races = races_of(questions, plan, pace, Budget(asked.budget_s, workers, used_s))
    return Prepared(asked, fitted, plan, questions, heads, races, checked.manifests, why, pace, sets, extra)


def extra_runs(asked: DecideRequest, variants: int) -> int:
    """The number of runs of calibration, controls, tuning and the final comparison, about."""
    if asked.race_only:
        return 0
    calibration: int = len(FACTORS) if RATE not in asked.request.settings else 0
    controls = SEEDS[0] * len(find_study("controls").variants)
    return calibration + controls + 2 * FINAL_SEEDS + asked.tune_rates * 3 * variants


def races_of(questions: Mapping[str, Question], plan: Sequence[PlannedTrial], pace: Pace, budget: Budget) -> Races:
    """The races of these questions over the trials of a plan."""
    return Races(
        {study: Race(question) for study, question in questions.items()},
        {(member.study, member.variant): line_id(one.recipe) for one in plan for member in one.members},
        {line_id(one.recipe): pace.trial_s(one.recipe, one.cost) for one in plan},
        budget,
    )


def questions_of(asked: DecideRequest, plan: Sequence[PlannedTrial]) -> dict[str, Question]:
    """The question of each study, about the variants that apply to the network."""
    applicable = {(member.study, member.variant) for planned in plan for member in planned.members}
    return {
        study.name: Question(
            tuple(name for name in names_of(study) if (study.name, name) in applicable),
            study.baseline,
            asked.margin,
            goal=asked.goal,
        )
        for study in asked.request.find_studies()
    }


def head_of(question: Question, plan: Sequence[PlannedTrial], study: str) -> dict[str, Any]:
    """What identifies a question: what is asked, and the recipes that it is asked about, before they are fitted."""
    recipes = {member.variant: one.recipe for one in plan for member in one.members if member.study == study}
    settings = {path: value for path, value in changed_fields(recipes[question.baseline]).items() if path != "seed"}
    asked = {name: getattr(question, name) for name in ("variants", "baseline", "margin", "level")}
    return {"study": study, **asked, "settings": settings, "trials": {name: line_id(r) for name, r in recipes.items()}}


def log_name(head: Mapping[str, Any]) -> str:
    """The name of a question's log: it does not depend on the settings, of which a store has one set a question."""
    question = {name: value for name, value in head.items() if name not in ("settings", "trials")}
    return f"{head['study']}-{digest(question)}"


def open_logs(
    asked: DecideRequest, questions: Mapping[str, Question], heads: Mapping[str, dict[str, Any]]
) -> dict[str, DecisionLog]:
    """The logs of the questions that the store has; none if there is no store.

    Raises:
        RaysweepError: a log was begun with other settings, or is damaged.
    """
    from raysweep.store.decision_log import DecisionLog
    from raysweep.store.store import Store

    store = Store.open_if_exists(asked.request.store or "results")
    if store is None:
        return {}
    logs = {study: DecisionLog(store.files, log_name(heads[study]), heads[study]) for study in questions}
    return {study: log for study, log in logs.items() if not log.is_new}


def earlier_choices(logs: Mapping[str, DecisionLog]) -> tuple[dict[str, Any], list[str]] | None:
    """The length that a question was begun with; None if there is none.

    Raises:
        RaysweepError: the questions were begun with different lengths.
    """
    fits = {study: row["fit"] for study, log in logs.items() for row in log.of_kind("fit")}
    if not fits:
        return None
    (first, settings), *others = fits.items()
    for study, other in others:
        if other != settings:
            raise RaysweepError(
                f"{first} and {study} were begun at different lengths ({as_set(settings)}; {as_set(other)}), so they "
                "cannot share a baseline: continue them separately."
            )
    return settings, [f"{as_set(settings)}: as when {first} was begun" if settings else f"{first} is continued"]
