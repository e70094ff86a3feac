"""A search carried out: a request on a space, checked, then trials proposed and trained, with Ray or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.cost import Cost, find_cost
from raysweep.errors import RaysweepError
from raysweep.patch import diff
from raysweep.planning import Action, Found, Member, PlannedTrial
from raysweep.proposals import (
    Proposal,
    Proposals,
    SearchOptions,
    check_settings,
    decide_search,
    fit_to_grid,
    known_points,
    proposal_row,
    read_proposals,
)
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request, found_by
from raysweep.space import Space, find_space
from raysweep.sweeps.study_sweep import Resources, check_sums, compact_after, described, find_data
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import OnEvent, Outcome
    from raysweep.orchestrate.schedulers import Seen
    from raysweep.orchestrate.space_searcher import Result
    from raysweep.store.store import Store


@dataclass(frozen=True)
class PreparedSearch:
    """A search that has passed every check: what has been proposed so far, and where it reads and writes."""

    options: SearchOptions
    proposals: Proposals
    found: dict[str, Found]
    """What the store knows of its trials."""
    data: Path
    store: Store
    protocol: str

    @property
    def num_epochs(self) -> int:
        """Epochs of the baseline."""
        return self.proposals.baseline.length.num_epochs

    def action(self, proposal: Proposal) -> tuple[Action, str]:
        """What to do with a proposal, and why."""
        return decide_search(proposal.recipe, self.found.get(proposal.trial), self.options.scheduler)

    def finished(self) -> list[Proposal]:
        """Those that count and are not trained again."""
        return [point for point in self.proposals.first(self.options.trials) if self.action(point)[0] == "skip"]

    def task(self, proposal: Proposal, keep_checkpoints: bool = False, deterministic: bool = False) -> TrialTask:
        """The trial of a proposal."""
        data, store = str(self.data), self.store.uri
        names = {"study": self.proposals.space.name, "variant": proposal.variant}
        return TrialTask(
            proposal.trial,
            proposal.recipe,
            data,
            store,
            self.protocol,
            keep_checkpoints,
            deterministic=deterministic,
            **names,
        )

    def planned(self, trial: str) -> PlannedTrial:
        """A proposal as progress shows it."""
        proposal = self.proposals.points[trial]
        member = self.proposals.member(proposal)
        return planned_point(trial, proposal.recipe, member, self.action(proposal), self.protocol)


def planned_point(
    trial: str, recipe: Recipe, member: Member, action: tuple[Action, str], protocol: str
) -> PlannedTrial:
    """A trial of a search as progress shows it; a network that cannot be built, as training will say, costs nothing."""
    try:
        cost = find_cost(recipe)
    except RaysweepError:
        cost = Cost(0, 0, 0)
    return PlannedTrial(trial, recipe, (member,), *action, diff(recipe, find_protocol(protocol)), cost)


def open_proposals(request: Request, space: Space, store: Store | None, options: SearchOptions) -> Proposals:
    """The proposals that a store holds for a request, to be continued; none are written yet.

    Raises:
        RaysweepError: data that do not serve.
    """
    baseline = request.baseline()
    proposals = Proposals(space, baseline)
    read_proposals(store.members().to_pylist() if store else [], proposals, options)
    return proposals


def asked_space(request: Request) -> Space:
    """The space of a request.

    Raises:
        RaysweepError: no such space, options that only studies have, or a setting of what is searched over.
    """
    (name,) = request.studies
    space = find_space(str(name))
    if request.variants or request.seeds != 1:
        asked = "--variants" if request.variants else "--seeds"
        raise RaysweepError(f"{asked} is for studies: {space.name} trains every point it proposes once, see --trials.")
    check_settings(space, request.settings)
    return space


def prepare_search(request: Request, resources: Resources, options: SearchOptions) -> PreparedSearch:
    """Check everything that can be checked before training.

    Raises:
        RaysweepError: data, settings, store or resources that do not serve. Nothing has been trained then.
    """
    check_inline(resources, options)
    space = asked_space(request)
    options = fit_to_grid(space, options)
    data, store = open_places(request, lambda baseline: baseline, resources)
    proposals = open_proposals(request, space, store, options)
    proposals.note = partial(_write, store, proposals, request.protocol)
    return PreparedSearch(options, proposals, found_by(store), data, store, request.protocol)


def open_places(request: Request, example: Callable[[Recipe], Recipe], resources: Resources) -> tuple[Path, Store]:
    """Folder of the images and store of a search, both checked, as is an example of its trials made of the baseline.

    Raises:
        RaysweepError: data, settings, store or resources that do not serve. Nothing has been trained then.
    """
    from raysweep.data.image_sets import ImageSets
    from raysweep.store.store import Store
    from raysweep.train.loop import check_trial

    sets = ImageSets(find_data(request))
    baseline = request.baseline()
    folder = sets.folder_of(baseline.data)  # no point of a space has images of another size
    (manifest,) = check_sums(sets, [folder])
    check_trial(example(baseline), Placement(world_size=resources.workers_per_trial))
    store = Store.open(request.store or "results", create=True)
    store.write_manifest(manifest)
    return folder.resolve(), store


def check_inline(resources: Resources, options: SearchOptions) -> None:
    """Refuse what only Tune can do in a run without Ray.

    Raises:
        RaysweepError: names the option.
    """
    for name, value, plain in (
        ("searcher", options.searcher, ("random", "grid")),
        ("scheduler", options.scheduler, ("none",)),
    ):
        if resources.inline and value not in plain:
            raise RaysweepError(f"--{name} {value} is Ray Tune's, which --inline goes without: leave out one of them.")


def _write(store: Store, proposals: Proposals, protocol: str, proposal: Proposal) -> None:
    store.write_members([proposal_row(proposals, proposal, protocol, find_protocol(protocol))])


def execute_search(prepared: PreparedSearch, resources: Resources, keep_checkpoints: bool = False) -> Outcome:
    """Propose and train until there are as many trials as asked for, showing progress.

    Raises:
        RaysweepError: resources that are not there.
        KeyboardInterrupt: the user stopped the search; every running trial has its last epoch in the store.
    """
    left = prepared.options.trials - len(prepared.finished())
    more = {prepared.proposals.space.name: left}
    with SweepProgress([], resources.workers or 1, prepared.planned, more) as progress:
        if resources.inline:
            from raysweep.orchestrate.inline import run_inline

            tasks = inline_tasks(prepared, keep_checkpoints, resources.deterministic)
            place = Placement(threads=resources.threads)
            outcome = run_inline(tasks, progress.on_event, place=place, max_attempts=resources.max_attempts)
        else:
            outcome = _on_ray(prepared, resources, progress, keep_checkpoints)
        compact_after(prepared.store.uri, progress.on_event)
        return outcome


def inline_tasks(prepared: PreparedSearch, keep: bool, deterministic: bool = False) -> Iterator[TrialTask]:
    """The trials of a random search or a grid that are not finished, each proposed when the one before has ended."""
    points = known_points(prepared.proposals.space, prepared.options)
    for proposal in prepared.proposals.take(points, prepared.options.trials):
        if prepared.action(proposal)[0] != "skip":
            yield prepared.task(proposal, keep, deterministic)


def _on_ray(prepared: PreparedSearch, resources: Resources, progress: SweepProgress, keep: bool) -> Outcome:
    from raysweep.orchestrate.ray_sweep import run_on_ray
    from raysweep.orchestrate.schedulers import make_scheduler
    from raysweep.orchestrate.space_searcher import Search

    baseline, history = prepared.proposals.baseline_trial, stored_history(prepared)
    scheduler = make_scheduler(prepared.options, prepared.num_epochs, history, baseline)
    record_stopped(prepared, scheduler.why if scheduler else {}, progress.on_event)
    ended = stored_results(prepared)
    task = partial(prepared.task, keep_checkpoints=keep, deterministic=resources.deterministic)
    return run_on_ray(
        (),
        progress.on_event,
        **resources.for_ray(),
        scheduler=scheduler,
        search=Search(prepared.options, prepared.proposals, task, ended),
        metadata=metadata(prepared),
    )


def stored_history(prepared: PreparedSearch) -> list[Seen]:
    """The epochs of all proposals, in the order in which they ended."""
    from raysweep.orchestrate.schedulers import Seen

    rows = prepared.store.epochs(prepared.proposals.points).sort_by([("finished_at", "ascending")])
    return [Seen(row["trial"], row["epoch"], row["top1"] or 0.0) for row in rows.to_pylist()]


def record_stopped(prepared: PreparedSearch, why: Mapping[str, str], on_event: OnEvent) -> None:
    """Write the stops that a killed sweep had decided on, or would have, and could not write any more.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.orchestrate.events import Event, record_trial_end

    for trial, reason in why.items():
        if (found := prepared.found.get(trial)) and found.status == "running":
            record_trial_end(prepared.task(prepared.proposals.points[trial]), "stopped", reason)
            prepared.found[trial] = replace(found, status="stopped")
            on_event(Event("stopped", trial, text=reason))


def stored_results(prepared: PreparedSearch) -> dict[str, Result]:
    """What the store knows of the proposals that are not trained again."""
    from raysweep.orchestrate.space_searcher import Result

    ended = [point.trial for point in prepared.proposals.points.values() if prepared.action(point)[0] == "skip"]
    curves: dict[str, list[tuple[int, float]]] = {trial: [] for trial in ended}
    for row in prepared.store.epochs(ended).to_pylist() if ended else []:
        curves[row["trial"]].append((row["epoch"], row["top1"] or 0.0))
    top1 = {row["trial"]: row["top1"] for row in prepared.store.trials(["trial", "top1"]).to_pylist()}
    return {t: Result(prepared.found[t].status, top1[t], tuple(sorted(curves[t]))) for t in ended}


def metadata(prepared: PreparedSearch) -> dict[str, str]:
    """What Ray's dashboard shows of the search."""
    options = prepared.options
    return described(
        prepared.proposals.space.name,
        prepared.protocol,
        prepared.store.uri,
        search=f"{options.searcher}, scheduler {options.scheduler}",
        trials=f"{options.trials - len(prepared.finished())} of {options.trials}",
    )
