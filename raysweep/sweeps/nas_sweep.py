"""Carries out architecture searches by trials: checks a request, then runs its searches with Ray or without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.nas.ask_tell import AskTell
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.one_search import Found, Search
from raysweep.nas_trials.side_by_side import Searches
from raysweep.nas_trials.trial_spaces import TrialSpace, example_of
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.sweeps.common import advice, compact_after, described, open_places, planned_point
from raysweep.sweeps.resources import Resources
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Event, Outcome
    from raysweep.store.store import Store


POPULATION = "{method}: a population of {population} is larger than the budget of {budget} evaluations, so every \
evaluation will be random. Use --option population={fit}, or a larger --budget"


@dataclass(frozen=True)
class PreparedNas:
    """Searches that have passed all checks, resumed from the store."""

    asked: NasRequest
    searches: Searches
    example: Recipe
    """The recipe of a typical trial."""

    def planned(self, trial: str) -> PlannedTrial:
        """A trial, for the display of progress."""
        task, member = self.searches.tasks[trial], self.searches.members[trial]
        return planned_point(trial, task.recipe, member, ("run", "proposed"), task.protocol)


def _no_children(search: Search) -> str:
    population, budget = getattr(search.asking.method, "population", 0), search.asking.budget.evaluations
    if search.seed or budget is None or population < budget:
        return ""
    return POPULATION.format(method=search.method, population=population, budget=budget, fit=max(2, budget // 4))


def run_by_trials(asked: NasRequest, resources: Resources, keep_checkpoints: bool) -> tuple[list[Found], Outcome]:
    """Run searches whose every evaluation is a trial, until their budgets are spent.

    Raises:
        RaysweepError: the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    prepared = prepare_nas(asked, resources, keep_checkpoints)
    searches = prepared.searches.searches
    done = sum(len(search.asking.evaluations) for search in searches)
    begun = sum(len(search.asking.in_flight) for search in searches)
    left = prepared.searches.expected_left()
    note(
        f"{len(searches)} searches: {done} evaluations finished earlier, {begun} in progress, about {left} to come; "
        f"results in {prepared.searches.store.uri}"
    )
    for warning in (*map(_no_children, searches), advice([prepared.example])):
        warn(warning)
    outcome = execute_nas(prepared, resources)
    return [search.found() for search in searches], outcome


def prepare_nas(asked: NasRequest, resources: Resources, keep_checkpoints: bool = False) -> PreparedNas:
    """Check everything that can be checked before training, and resume the searches in the store.

    Raises:
        RaysweepError: invalid methods, options, space, data, settings, store or resources. Nothing has been trained.
    """
    request = asked.training_request()
    asked.named_methods(request.baseline())  # raises if invalid, before images are generated
    data, store = open_places(request, lambda baseline: example_of(asked.searched_space(baseline), baseline), resources)
    baseline = request.baseline()
    space = asked.searched_space(baseline)
    template = TrialTask(
        "",
        baseline,
        str(data),
        store.uri,
        request.protocol,
        keep_checkpoints,
        deterministic=resources.deterministic,
    )
    opened = open_searches(asked, space, baseline, store)
    searches = Searches(opened, space, baseline, store, template)
    searches.resume()
    return PreparedNas(asked, searches, example_of(space, baseline))


def open_searches(asked: NasRequest, space: TrialSpace, baseline: Recipe, store: Store) -> list[Search]:
    """All searches of a request, new or rebuilt from their logs.

    Raises:
        RaysweepError: a space that a method cannot search, or an unusable log; all logs are then closed.
    """
    from raysweep.nas_trials.search_logs import log_of

    with ExitStack() as opened:
        searches = []
        for one in asked.named(baseline):
            log = log_of(store.files, one.name)
            asking = AskTell(space.space, one.method, budget=asked.budget_of(one.method), seed=one.seed, log=log)
            opened.callback(asking.close)
            searches.append(Search(one.name, one.label, one.seed, asking))
        opened.pop_all()
    return searches


def execute_nas(prepared: PreparedNas, resources: Resources) -> Outcome:
    """Propose and train until the budgets are spent, showing progress.

    Raises:
        RaysweepError: missing resources, or a store that cannot be written.
        KeyboardInterrupt: stopped by the user; the last epoch of every running trial is in the store.
    """
    searches = prepared.searches
    more = {searches.space.study: searches.expected_left()}
    try:
        with SweepProgress([], resources.workers or 1, prepared.planned, more, searches.expected_left) as progress:
            run = _inline if resources.inline else _on_ray
            outcome = run(prepared, resources, progress)
            compact_after(searches.store.uri, progress.on_event)
            return outcome
    finally:
        searches.close()


def _inline(prepared: PreparedNas, resources: Resources, progress: SweepProgress) -> Outcome:
    from raysweep.orchestrate.events import ENDS
    from raysweep.orchestrate.inline import run_inline

    searches = prepared.searches

    def on_event(event: Event) -> None:
        if event.kind in ENDS:
            searches.end(event.trial, event.kind, event.text)
        progress.on_event(event)

    place = Placement(threads=resources.threads)
    return run_inline(tasks_in_turn(searches), on_event, place=place, max_attempts=resources.max_attempts)


def tasks_in_turn(searches: Searches) -> Iterator[TrialTask]:
    """The trials still to be trained; each is proposed after the previous one has ended."""
    while (task := searches.next()) is not None:
        yield task


def _on_ray(prepared: PreparedNas, resources: Resources, progress: SweepProgress) -> Outcome:
    from raysweep.orchestrate.nas_searcher import NasSearch
    from raysweep.orchestrate.ray_sweep import run_on_ray

    search = NasSearch(prepared.searches, prepared.example)
    return run_on_ray((), progress.on_event, **resources.for_ray(), search=search, metadata=metadata(prepared))


def metadata(prepared: PreparedNas) -> dict[str, str]:
    """Metadata of the searches for Ray's dashboard."""
    searches = prepared.searches
    methods = ", ".join(dict.fromkeys(search.method for search in searches.searches))
    return described(searches.space.study, prepared.asked.request.protocol, searches.store.uri, search=methods)
