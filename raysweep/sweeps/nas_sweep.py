"""Carries out architecture searches by trials: checks a request, then runs its searches with Ray or without."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.nas.ask_tell import AskTell
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.one_search import Found, Search
from raysweep.nas_trials.side_by_side import Searches
from raysweep.nas_trials.trial_spaces import TrialSpace, example_of
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.sweeps.common import advice, carry_out, open_places, planned_point
from raysweep.sweeps.resources import Resources
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Event, Outcome
    from raysweep.store.store import Store


POPULATION = "{method}: a population of {population} is larger than the budget of {budget} evaluations, so every \
evaluation will be random. Use --option population={fit}, or a larger --budget"


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
    together = prepare_nas(asked, resources, keep_checkpoints)
    searches = together.searches
    done = sum(len(search.asking.evaluations) for search in searches)
    begun = sum(len(search.asking.in_flight) for search in searches)
    note(
        f"{len(searches)} searches: {done} evaluations finished earlier, {begun} in progress, about "
        f"{together.expected_left()} to come; results in {together.store.uri}"
    )
    for warning in (*map(_no_children, searches), advice([together.example])):
        warn(warning)
    outcome = _execute(together, resources)
    return [search.found() for search in searches], outcome


def prepare_nas(asked: NasRequest, resources: Resources, keep_checkpoints: bool) -> Searches:
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
        *("", baseline, str(data), store.uri, request.protocol),
        keep_checkpoint=keep_checkpoints,
        deterministic=resources.deterministic,
    )
    searches = Searches(open_searches(asked, space, baseline, store), space, baseline, store, template)
    searches.resume()
    return searches


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


def _execute(searches: Searches, resources: Resources) -> Outcome:
    """Propose and train until the budgets are spent, showing progress."""
    from raysweep.orchestrate.events import ENDS

    def planned(trial: str) -> PlannedTrial:
        task, member = searches.tasks[trial], searches.members[trial]
        done = (searches.trials.get(trial) or {}).get("epochs") or 0
        return planned_point(trial, task.recipe, member, ("run", "proposed"), task.protocol, done)

    def on_event(event: Event) -> None:
        if event.kind in ENDS:
            ended.add(event.trial)
        if resources.inline and event.kind in ENDS:  # on Ray, Tune reports them
            searches.end(event.trial, event.kind, event.text)
        progress.on_event(event)

    def on_ray() -> dict[str, Any]:
        from raysweep.orchestrate.nas_searcher import NasSearch

        return {"search": NasSearch(searches)}

    study, methods = searches.space.study, dict.fromkeys(search.method for search in searches.searches)
    about = {"studies": study, "protocol": searches.template.protocol, "store": searches.store.uri}
    about["search"] = ", ".join(methods)
    ended: set[str] = set()
    left = partial(searches.expected_left, ended)
    with closing(searches), SweepProgress([], planned, {study: left()}, left) as progress:
        return carry_out(searches.in_turn(), on_event, resources, about, on_ray)
