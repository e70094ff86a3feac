"""Architecture searches carried out: a request checked, then its searches side by side, with Ray or without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.nas.ask_tell import AskTell
from raysweep.nas.space import randomness
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.one_search import Search
from raysweep.nas_trials.side_by_side import Searches
from raysweep.nas_trials.trial_spaces import TrialSpace
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.sweeps.common import advice, compact_after, described, open_places, planned_point
from raysweep.sweeps.resources import Resources
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Event, Outcome
    from raysweep.store.store import Store


POPULATION = "{method}: its population of {population} is never complete with {budget} evaluations, so that all of \
them are random: use --option population={fit}, or a larger --budget"


@dataclass(frozen=True)
class PreparedNas:
    """Searches that have passed every check, with all that the store knows of them."""

    asked: NasRequest
    searches: Searches
    example: Recipe
    """What its trials are like."""

    def planned(self, trial: str) -> PlannedTrial:
        """A trial as progress shows it."""
        task, member = self.searches.tasks[trial], self.searches.members[trial]
        return planned_point(trial, task.recipe, member, ("run", "proposed"), task.protocol)

    def warnings(self) -> list[str]:
        """What is likely to be a mistake, and is done all the same."""
        return [warning for warning in (*map(_no_children, self.searches.searches), advice([self.example])) if warning]


def _no_children(search: Search) -> str:
    population, budget = getattr(search.asking.method, "population", 0), search.asking.budget.evaluations
    if search.seed or budget is None or population < budget:
        return ""
    return POPULATION.format(method=search.method, population=population, budget=budget, fit=max(2, budget // 4))


def example_of(space: TrialSpace, baseline: Recipe, number: int = 0) -> Recipe:
    """One of the recipes that a search of the space may propose."""
    return space.recipe(baseline, space.space.sample(randomness(0, number)))


def prepare_nas(asked: NasRequest, resources: Resources, keep_checkpoints: bool = False) -> PreparedNas:
    """Check everything that can be checked before training, and go on with the searches that the store has.

    Raises:
        RaysweepError: methods, options, space, data, settings, store or resources that do not serve. Nothing has been
            trained then.
    """
    request = asked.training_request()
    asked.named_methods(request.baseline())  # what does not serve is refused before images are made
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
    """Every search of a request, begun or rebuilt from its log.

    Raises:
        RaysweepError: a space that a method cannot search, or a log that does not serve; none is open then.
    """
    from raysweep.store.search_logs import log_of

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
        RaysweepError: resources that are not there, or a store that cannot be written.
        KeyboardInterrupt: the user stopped the searches; every running trial has its last epoch in the store.
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
    """Every trial that is still to be trained, proposed when the one before has ended."""
    while (task := searches.next()) is not None:
        yield task


def _on_ray(prepared: PreparedNas, resources: Resources, progress: SweepProgress) -> Outcome:
    from raysweep.orchestrate.nas_searcher import NasSearch
    from raysweep.orchestrate.ray_sweep import run_on_ray

    search = NasSearch(prepared.searches, prepared.example)
    return run_on_ray((), progress.on_event, **resources.for_ray(), search=search, metadata=metadata(prepared))


def metadata(prepared: PreparedNas) -> dict[str, str]:
    """What Ray's dashboard shows of the searches."""
    searches = prepared.searches
    methods = ", ".join(dict.fromkeys(search.method for search in searches.searches))
    return described(searches.space.study, prepared.asked.request.protocol, searches.store.uri, search=methods)
