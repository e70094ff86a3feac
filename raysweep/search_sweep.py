"""A search carried out: a request on a space, checked, then trials proposed and trained, with Ray or without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.cost import Cost, find_cost
from raysweep.errors import RaysweepError
from raysweep.patch import diff
from raysweep.plan import Action, Found, PlannedTrial
from raysweep.progress import SweepProgress
from raysweep.protocols import find_protocol
from raysweep.request import Request, found_by
from raysweep.search import (
    Proposal,
    Proposals,
    SearchOptions,
    check_settings,
    decide_search,
    proposal_row,
    random_points,
    read_proposals,
)
from raysweep.space import Space, find_space
from raysweep.sweep import Resources, check_sums, find_data
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome
    from raysweep.orchestrate.searchers import Result
    from raysweep.results.store import Store


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

    def task(self, proposal: Proposal, keep_checkpoints: bool = False) -> TrialTask:
        """The trial of a proposal."""
        data, store = str(self.data), self.store.uri
        names = {"study": self.proposals.space.name, "variant": proposal.variant}
        return TrialTask(proposal.trial, proposal.recipe, data, store, self.protocol, keep_checkpoints, **names)

    def planned(self, trial: str) -> PlannedTrial:
        """A proposal as progress shows it; a network that cannot be built, which training will say, costs nothing."""
        proposal = self.proposals.points[trial]
        try:
            cost = find_cost(proposal.recipe)
        except RaysweepError:
            cost = Cost(0, 0, 0)
        changes = diff(proposal.recipe, find_protocol(self.protocol))
        members = (self.proposals.member(proposal),)
        return PlannedTrial(trial, proposal.recipe, members, *self.action(proposal), changes, cost)


def open_proposals(request: Request, space: Space, store: Store | None) -> Proposals:
    """The proposals that a store holds for a request, to be continued; none are written yet.

    Raises:
        RaysweepError: data that do not serve.
    """
    baseline = request.baseline()
    proposals = Proposals(space, baseline)
    read_proposals(store.members().to_pylist() if store else [], proposals)
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
    from raysweep.data.image_sets import ImageSets
    from raysweep.results.store import Store
    from raysweep.train.loop import check_trial

    check_inline(resources, options)
    space = asked_space(request)
    sets = ImageSets(find_data(request))
    folder = sets.folder_of(request.baseline().data)  # no point of a space has images of another size
    (manifest,) = check_sums(sets, [folder])
    store = Store.open(request.store or "results", create=True)
    proposals = open_proposals(request, space, store)
    check_trial(proposals.baseline, Placement(world_size=resources.workers_per_trial))
    store.write_manifest(manifest)
    proposals.note = partial(_write, store, proposals, request.protocol)
    return PreparedSearch(options, proposals, found_by(store), folder.resolve(), store, request.protocol)


def check_inline(resources: Resources, options: SearchOptions) -> None:
    """Refuse what only Tune can do in a run without Ray.

    Raises:
        RaysweepError: names the option.
    """
    for name, value, plain in (("searcher", options.searcher, "random"), ("scheduler", options.scheduler, "none")):
        if resources.inline and value != plain:
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

            tasks = inline_tasks(prepared, keep_checkpoints)
            place = Placement(threads=resources.threads)
            return run_inline(tasks, progress.on_event, place=place, max_attempts=resources.max_attempts)
        return _on_ray(prepared, resources, progress, keep_checkpoints)


def inline_tasks(prepared: PreparedSearch, keep_checkpoints: bool) -> Iterator[TrialTask]:
    """The trials of the random sequence that are not finished, each proposed when the one before it has ended."""
    points = random_points(prepared.proposals.space, prepared.options.seed)
    for proposal in prepared.proposals.take(points, prepared.options.trials):
        if prepared.action(proposal)[0] != "skip":
            yield prepared.task(proposal, keep_checkpoints)


def _on_ray(prepared: PreparedSearch, resources: Resources, progress: SweepProgress, keep: bool) -> Outcome:
    from raysweep.orchestrate.searchers import Search, make_scheduler
    from raysweep.orchestrate.sweep import run_on_ray

    ended = stored_results(prepared)
    task = partial(prepared.task, keep_checkpoints=keep)
    return run_on_ray(
        (),
        progress.on_event,
        **resources.for_ray(),
        scheduler=make_scheduler(prepared.options, prepared.num_epochs, ended, prepared.proposals.baseline_trial),
        search=Search(prepared.options, prepared.proposals, task, ended),
        metadata=metadata(prepared),
    )


def stored_results(prepared: PreparedSearch) -> dict[str, Result]:
    """What the store knows of the proposals that are not trained again."""
    from raysweep.orchestrate.searchers import Result

    ended = [point.trial for point in prepared.proposals.points.values() if prepared.action(point)[0] == "skip"]
    curves: dict[str, list[tuple[int, float]]] = {trial: [] for trial in ended}
    for row in prepared.store.epochs(ended).to_pylist() if ended else []:
        curves[row["trial"]].append((row["epoch"], row["top1"] or 0.0))
    top1 = {row["trial"]: row["top1"] for row in prepared.store.trials().select(["trial", "top1"]).to_pylist()}
    return {t: Result(prepared.found[t].status, top1[t], tuple(sorted(curves[t]))) for t in ended}


def metadata(prepared: PreparedSearch) -> dict[str, str]:
    """What Ray's dashboard shows of the search."""
    from raysweep.results.provenance import described_commit

    options = prepared.options
    return {
        "studies": prepared.proposals.space.name,
        "search": f"{options.searcher}, scheduler {options.scheduler}",
        "protocol": prepared.protocol,
        "store": prepared.store.uri,
        "trials": f"{options.trials - len(prepared.finished())} of {options.trials}",
        "commit": described_commit(),
    }
