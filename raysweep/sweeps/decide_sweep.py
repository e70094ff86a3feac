"""The sweep of `raysweep decide`: fit the studies to the hours, then race their variants against the baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from raysweep.sweeps.common import advice, carry_out
from raysweep.sweeps.decide_request import DecideRequest, names_of
from raysweep.sweeps.fit_to_hours import Hours, choices
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_races import Entry, StudyRaces
from raysweep.sweeps.study_sweep import check, left_out
from raysweep.terminal.decisions import FirstRuns
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask
from raysweep.units import brief

if TYPE_CHECKING:
    from raysweep.data.manifest import Manifest
    from raysweep.orchestrate.events import Event, Outcome
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
    folders: Mapping[str, str]
    manifests: Sequence[Manifest]
    why: Sequence[str]
    """The choices made, with reasons."""
    start_s: float
    """Seconds of a trial before its first epoch."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen to fit the hours."""

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
        return [FirstRuns(*self.races.places[line][0], runs, self.races.seconds(line)) for line, runs in due.items()]


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
    settings, why = earlier_choices(logs) or choices(
        asked.request, checked.plan, questions, Hours(asked.budget_s, workers, pace)
    )
    fitted = replace(asked.asked, settings=dict(asked.asked.settings) | settings)
    plan = possible(fitted.plan())
    sets = ImageSets(find_data(fitted))
    for planned in plan:
        check_trial(planned.recipe, Placement(world_size=resources.workers_per_trial))
    races = Races(
        {study: Race(question) for study, question in questions.items()},
        {(member.study, member.variant): line_id(one.recipe) for one in plan for member in one.members},
        {line_id(one.recipe): pace.trial_s(one.recipe, one.cost) for one in plan},
        Budget(asked.budget_s, workers, used_s),
    )
    folders = {line_id(one.recipe): str(sets.folder_of(one.recipe.data).resolve()) for one in plan}
    return Prepared(
        asked, fitted, plan, questions, heads, races, folders, checked.manifests, why, pace.start_s, settings
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
                f"{first} and {study} were begun at different lengths ({_text(settings)}; {_text(other)}), so they "
                "cannot share a baseline: continue them separately."
            )
    return settings, [f"{_text(settings)}: as when {first} was begun" if settings else f"{first} is continued"]


def _text(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={brief(value)}" for path, value in settings.items())


def open_races(prepared: Prepared, deterministic: bool, keep_checkpoints: bool) -> StudyRaces:
    """The races with their logs in the store, continued from there.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.store.decision_log import DecisionLog
    from raysweep.store.store import Store

    store = Store.open(prepared.store_uri, create=True)
    for manifest in prepared.manifests:
        store.write_manifest(manifest)
    logs = {study: DecisionLog(store.files, log_name(head), head) for study, head in prepared.heads.items()}
    for log in logs.values():
        if log.is_new:
            log.add({"fit": dict(prepared.settings), "why": list(prepared.why)})
    entries = {
        line_id(one.recipe): Entry(one.recipe, one.members, prepared.folders[line_id(one.recipe)])
        for one in prepared.plan
    }
    template = TrialTask(
        *("", prepared.plan[0].recipe, "", store.uri, prepared.asked.request.protocol),
        keep_checkpoint=keep_checkpoints,
        deterministic=deterministic,
    )
    races = StudyRaces(prepared.races, entries, logs, store, template, prepared.start_s)
    races.resume()
    return races


def run_decide(prepared: Prepared, resources: Resources, keep_checkpoints: bool = False) -> StudyRaces:
    """Train what decides most until all is decided or the hours are over, showing progress.

    Raises:
        RaysweepError: resources that are not available, or a store that cannot be written.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    races = open_races(prepared, resources.deterministic, keep_checkpoints)
    known = sum(len(race.results) for race in races.races.races.values())
    note(f"{known} results were there earlier; results in {races.store.uri}")
    warn(advice([races.example]))
    execute(races, resources, prepared.asked.request.protocol)
    races.stop(stopped_why(races))
    return races


def stopped_why(races: StudyRaces) -> str:
    """Why nothing more is run."""
    if races.failed:
        return "failed trials"
    if not any(races.races.undecided()):
        return "all is decided"
    return "the time is used" if any(answer.needed_s for answer in races.answers()) else "no further run would decide"


def execute(races: StudyRaces, resources: Resources, protocol: str) -> Outcome:
    """Hand out trials and take their results until nothing more is to be run."""
    import raysweep.data.loops  # noqa: F401 - compiles them before the first trial needs them
    from raysweep.orchestrate.events import ENDS, Event

    ended: set[str] = set()

    def on_event(event: Event) -> None:
        if event.kind in ENDS:
            ended.add(event.trial)
        progress.on_event(event)
        if resources.inline and event.kind in ENDS:  # on Ray, Tune reports them
            races.end(event.trial, event.kind, event.text)

    def on_ray() -> dict[str, Any]:
        from raysweep.orchestrate.nas_searcher import NasSearch

        return {"search": NasSearch(races)}

    studies = list(races.races.races)
    about = {"studies": ", ".join(studies), "protocol": protocol, "store": races.store.uri, "search": "decide"}

    def left() -> int:
        return races.expected_left(ended)

    with SweepProgress([], races.planned, {studies[0]: left()}, left) as progress:
        races.say = lambda kind, text: progress.on_event(Event(kind, text=text))  # type: ignore[arg-type]
        return carry_out(races.in_turn(), on_event, resources, about, on_ray)
