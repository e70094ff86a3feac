"""The sweep of a search space: check the request, then propose points and train them until there are enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.identity import trial_id
from raysweep.patch import diff
from raysweep.planning import Action, Found, PlannedTrial
from raysweep.proposals import (
    Proposal,
    Proposals,
    SpaceOptions,
    check_settings,
    decide_proposal,
    fit_to_grid,
    known_points,
    proposal_row,
    read_proposals,
    searcher_tag,
)
from raysweep.protocols import find_protocol
from raysweep.request import Request, found_by, found_in
from raysweep.space import Space, find_space
from raysweep.sweeps.common import advice, carry_out, open_places, planned_point
from raysweep.sweeps.resources import Resources
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import OnEvent, Outcome
    from raysweep.orchestrate.schedulers import Seen
    from raysweep.orchestrate.space_searcher import Result
    from raysweep.store.store import Store

MakeTask = Callable[[Proposal], TrialTask]


@dataclass(frozen=True)
class PlannedPoint:
    """One row of the plan of a search space. It has no cost: its network is not built, which would load torch."""

    proposal: Proposal
    space: str
    action: Action
    reason: str
    diff: Mapping[str, Any]
    """Dotted field -> value, against the protocol's own baseline."""

    def to_json(self) -> dict[str, Any]:
        """The object that `plan --json` prints: as for studies, with the point; null for what is not computed."""
        recipe = self.proposal.recipe
        return {
            "trial": self.proposal.trial,
            "studies": [{"study": self.space, "variant": self.proposal.variant}],
            "seed": recipe.seed,
            "action": self.action,
            "reason": self.reason,
            "diff": dict(self.diff),
            "params": None,
            "macs": None,
            "epochs": recipe.training.epochs,
            "estimated_gpu_h": None,
            "assignment": dict(self.proposal.assignment),
        }


def plan_space(request: Request, options: SpaceOptions) -> list[PlannedPoint]:
    """The points proposed so far and those that random or grid search will propose.

    Raises:
        RaysweepError: the request cannot be carried out.
    """
    from raysweep.store.store import Store

    space = asked_space(request)
    options = fit_to_grid(space, options)
    found = found_in(request.store) if request.store else {}
    store = Store.open_if_exists(request.store) if request.store else None
    proposals = open_proposals(request, space, store, options)
    protocol = find_protocol(request.protocol)
    return [
        PlannedPoint(
            point,
            space.name,
            *decide_proposal(point.recipe, found.get(point.trial), options.scheduler),
            diff(point.recipe, protocol),
        )
        for point in proposals.take(known_points(space, options), options.trials)
    ]


def run_space(request: Request, resources: Resources, options: SpaceOptions, keep_checkpoints: bool = False) -> Outcome:
    """Train points of a space until there are as many as asked for, reporting progress on standard error.

    Raises:
        RaysweepError: the request cannot be carried out. Nothing has been trained.
        KeyboardInterrupt: the user stopped the sweep; the same request continues it.
    """
    prepared = prepare_space(request, resources, options)
    ended, proposed = len(prepared.finished()), len(prepared.proposals.first(options.trials))
    note(f"{options.trials} trials, {proposed} proposed and {ended} ended earlier; results in {prepared.store.uri}")
    note_others(prepared)
    warn(advice([prepared.proposals.baseline]))
    return execute_space(prepared, resources, keep_checkpoints)


def note_others(prepared: PreparedSpace) -> None:
    """Say which points of the store count although their searcher is unknown, and which do not."""
    proposals = prepared.proposals
    if proposals.unrecorded:
        note(
            f"{proposals.unrecorded} points in the store are of an earlier version, which did not record what proposed "
            f"them: they count as proposed by {prepared.options.searcher}. To leave them out, use another --store."
        )
    if proposals.others:
        note(f"{len(proposals.others)} points of other searchers or seeds are in the store: they do not count")


@dataclass(frozen=True)
class PreparedSpace:
    """A request for a space that has passed every check, with the points proposed so far."""

    options: SpaceOptions
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
        return decide_proposal(proposal.recipe, self.found.get(proposal.trial), self.options.scheduler)

    def finished(self) -> list[Proposal]:
        """The proposals that count and are not trained again."""
        return [point for point in self.proposals.first(self.options.trials) if self.action(point)[0] == "skip"]

    def task(self, proposal: Proposal, keep_checkpoints: bool = False, deterministic: bool = False) -> TrialTask:
        """The trial of a proposal."""
        return TrialTask(
            proposal.trial,
            proposal.recipe,
            data=str(self.data),
            store=self.store.uri,
            protocol=self.protocol,
            keep_checkpoint=keep_checkpoints,
            deterministic=deterministic,
            study=self.proposals.space.name,
            variant=proposal.variant,
        )

    def planned(self, trial: str) -> PlannedTrial:
        """The view of a proposal that progress shows."""
        proposal = self.proposals.points[trial]
        member = self.proposals.member(proposal)
        done = self.found[trial].epochs if trial in self.found else 0
        return planned_point(trial, proposal.recipe, member, self.action(proposal), self.protocol, done)


def open_proposals(request: Request, space: Space, store: Store | None, options: SpaceOptions) -> Proposals:
    """The proposals that a store holds for a request, to be continued. Writes nothing.

    Raises:
        RaysweepError: data that cannot be used.
    """
    baseline = request.baseline()
    proposals = Proposals(space, baseline, searcher=searcher_tag(options))
    read_proposals(store.members(each_searcher=True).to_pylist() if store else [], proposals, options)
    return proposals


def asked_space(request: Request) -> Space:
    """The space of a request.

    Raises:
        RaysweepError: no such space, options that only studies have, or a setting of a parameter of the space.
    """
    (name,) = request.studies
    space = find_space(str(name))
    if request.variants or request.seeds != 1:
        asked = "--variants" if request.variants else "--seeds"
        raise RaysweepError(f"{asked} is for studies: {space.name} trains each proposed point once, see --trials.")
    check_settings(space, request.settings)
    return space


def prepare_space(request: Request, resources: Resources, options: SpaceOptions) -> PreparedSpace:
    """Check everything that can be checked before training.

    Raises:
        RaysweepError: data, settings, store or resources that cannot be used. Nothing has been trained.
    """
    check_inline(resources, options)
    space = asked_space(request)
    options = fit_to_grid(space, options)
    data, store = open_places(request, lambda baseline: baseline, resources)
    proposals = open_proposals(request, space, store, options)
    proposals.note = partial(_write, store, proposals, request.protocol)
    return PreparedSpace(options, proposals, found_by(store), data, store, request.protocol)


def check_inline(resources: Resources, options: SpaceOptions) -> None:
    """Refuse searchers and schedulers that need Tune in a run without Ray.

    Raises:
        RaysweepError: names the option.
    """
    for name, value, plain in (
        ("searcher", options.searcher, ("random", "grid")),
        ("scheduler", options.scheduler, ("none",)),
    ):
        if resources.inline and value not in plain:
            raise RaysweepError(f"--{name} {value} needs Ray Tune, which --inline does not use: leave out one of them.")


def _write(store: Store, proposals: Proposals, protocol: str, proposal: Proposal) -> None:
    store.write_members([proposal_row(proposals, proposal, protocol, find_protocol(protocol))])


def execute_space(prepared: PreparedSpace, resources: Resources, keep_checkpoints: bool = False) -> Outcome:
    """Propose and train until there are as many trials as asked for, showing progress.

    Raises:
        RaysweepError: resources that are not available.
        KeyboardInterrupt: the user stopped the sweep; the last epoch of every running trial is in the store.
    """
    options, space = prepared.options, prepared.proposals.space
    left = options.trials - len(prepared.finished())
    make_task = partial(prepared.task, keep_checkpoints=keep_checkpoints, deterministic=resources.deterministic)
    about = {
        "studies": space.name,
        "protocol": prepared.protocol,
        "store": prepared.store.uri,
        "search": f"{options.searcher}, scheduler {options.scheduler}",
        "trials": f"{left} of {options.trials}",
    }
    with SweepProgress([], prepared.planned, {space.name: left}) as progress:
        on_ray = partial(_on_ray, prepared, make_task, progress.on_event)
        return carry_out(_inline_tasks(prepared, make_task), progress.on_event, resources, about, on_ray)


def _inline_tasks(prepared: PreparedSpace, make_task: MakeTask) -> Iterator[TrialTask]:
    """The unfinished trials of random or grid search; each point is proposed when the trial before it has ended."""
    points = known_points(prepared.proposals.space, prepared.options)
    for proposal in prepared.proposals.take(points, prepared.options.trials):
        if prepared.action(proposal)[0] != "skip":
            yield make_task(proposal)


def _on_ray(prepared: PreparedSpace, make_task: MakeTask, on_event: OnEvent) -> dict[str, Any]:
    """The scheduler, and the search with the results so far."""
    from raysweep.orchestrate.schedulers import make_scheduler
    from raysweep.orchestrate.space_searcher import SpacePoints

    prepared.found.update(found_by(prepared.store))  # after a shortage of memory this is not the first call
    baseline, history = trial_id(prepared.proposals.baseline), stored_history(prepared)
    scheduler = make_scheduler(prepared.options, prepared.num_epochs, history, baseline)
    record_stopped(prepared, scheduler.why if scheduler else {}, on_event)
    search = SpacePoints(prepared.options, prepared.proposals, make_task, stored_results(prepared))
    return {"scheduler": scheduler, "search": search}


def stored_history(prepared: PreparedSpace) -> list[Seen]:
    """The epochs of all proposals, in the order in which they ended."""
    from raysweep.orchestrate.schedulers import Seen

    rows = prepared.store.epochs(prepared.proposals.points).sort_by([("finished_at", "ascending")])
    return [Seen(row["trial"], row["epoch"], row["top1"] or 0.0) for row in rows.to_pylist()]


def record_stopped(prepared: PreparedSpace, why: Mapping[str, str], on_event: OnEvent) -> None:
    """Record the stops that a killed sweep had decided on and could no longer write.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.orchestrate.events import Event, record_trial_end

    for trial, reason in why.items():
        if (found := prepared.found.get(trial)) and found.status == "running" and not found.elsewhere:
            record_trial_end(prepared.task(prepared.proposals.points[trial]), "stopped", reason)
            prepared.found[trial] = replace(found, status="stopped")
            on_event(Event("stopped", trial, text=reason))


def stored_results(prepared: PreparedSpace) -> dict[str, Result]:
    """The results of the points in the store that are not trained again, whichever searcher proposed them."""
    from raysweep.orchestrate.space_searcher import Result

    points = prepared.proposals.points | prepared.proposals.others
    ended = [trial for trial, point in points.items() if prepared.action(point)[0] == "skip"]
    curves: dict[str, list[tuple[int, float]]] = {trial: [] for trial in ended}
    for row in prepared.store.epochs(ended).to_pylist() if ended else []:
        curves[row["trial"]].append((row["epoch"], row["top1"] or 0.0))
    top1 = {row["trial"]: row["top1"] for row in prepared.store.trials(["trial", "top1"]).to_pylist()}
    return {t: Result(prepared.found[t].status, top1[t], tuple(sorted(curves[t]))) for t in ended}
