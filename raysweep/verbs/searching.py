"""`plan` and `run` of a search space."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from raysweep.patch import diff
from raysweep.planning import Action
from raysweep.proposals import Proposal, Proposals, SearchOptions, decide_search, fit_to_grid, known_points
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request, found_in
from raysweep.terminal.tables import table
from raysweep.verbs.options import print_json
from raysweep.verbs.plan import changes

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome
    from raysweep.sweeps.study_sweep import Resources


@dataclass(frozen=True)
class PlannedPoint:
    """One row of a search's plan. Its network is not built, which would need torch: no cost."""

    proposal: Proposal
    action: Action
    reason: str
    diff: dict[str, Any]

    def to_json(self, space: str) -> dict[str, Any]:
        """The object that `plan --json` prints: as for studies, with the point, and null for what is not computed."""
        return {
            "trial": self.proposal.trial,
            "studies": [{"study": space, "variant": self.proposal.variant}],
            "seed": self.proposal.recipe.seed,
            "action": self.action,
            "reason": self.reason,
            "diff": self.diff,
            "params": None,
            "macs": None,
            "epochs": self.proposal.recipe.training.epochs,
            "estimated_gpu_h": None,
            "assignment": dict(self.proposal.assignment),
        }


def plan_search(request: Request, search: SearchOptions, as_json: bool) -> None:
    """Print the trials of a search as far as they are known before it runs.

    Raises:
        RaysweepError: whatever of the request cannot be done.
    """
    from raysweep.sweeps.space_sweep import asked_space

    search = fit_to_grid(asked_space(request), search)
    proposals, points = planned_points(request, search)
    if as_json:
        print_json([point.to_json(proposals.space.name) for point in points])
        return
    header = ("trial", "study/variant", "action", "epochs", "differs in")
    click.echo(table(header, (_row(point, proposals.space.name) for point in points)))
    counts = Counter(point.action for point in points)
    actions = ", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "none yet"
    click.echo(f"\n{search.trials} trials in all, {len(points)} known: {actions}.")
    if len(points) < search.trials:
        reason = (
            "what optuna proposes depends on the results" if search.searcher == "optuna" else "the space has no more"
        )
        click.echo(f"The others are not known: {reason}.")
    click.echo("Networks are built when they are trained: no estimate of the cost.")


def planned_points(request: Request, search: SearchOptions) -> tuple[Proposals, list[PlannedPoint]]:
    """The points proposed so far and, of the random searcher, those to come.

    Raises:
        RaysweepError: whatever of the request cannot be done.
    """
    from raysweep.sweeps.space_sweep import asked_space, open_proposals

    space = asked_space(request)
    found = found_in(request.store) if request.store else {}
    proposals = open_proposals(request, space, _open_store(request), search)
    known = list(proposals.take(known_points(space, search), search.trials))
    protocol = find_protocol(request.protocol)
    return proposals, [
        PlannedPoint(
            point, *decide_search(point.recipe, found.get(point.trial), search.scheduler), _diff(point, protocol)
        )
        for point in known[: search.trials]
    ]


def _open_store(request: Request) -> Any:
    from raysweep.store.store import Store

    return Store.open_if_exists(request.store) if request.store else None


def _diff(point: Proposal, protocol: Recipe) -> dict[str, Any]:
    return dict(diff(point.recipe, protocol))


def _row(point: PlannedPoint, space: str) -> tuple[object, ...]:
    proposal = point.proposal
    action, epochs = f"{point.action}: {point.reason}", f"{proposal.recipe.training.epochs:.4g}"
    return proposal.trial, f"{space}/{proposal.variant}", action, epochs, changes(point.diff)


def run_search(request: Request, resources: Resources, search: SearchOptions, keep_checkpoints: bool) -> Outcome:
    """Search the space that is named.

    Raises:
        RaysweepError: whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.space_sweep import execute_search, prepare_search
    from raysweep.sweeps.study_sweep import advice

    prepared = prepare_search(request, resources, search)
    before, known = len(prepared.finished()), len(prepared.proposals.first(search.trials))
    click.echo(
        f"{search.trials} trials, {known} proposed and {before} ended before; results in {prepared.store.uri}",
        err=True,
    )
    if warning := advice([prepared.proposals.baseline]):
        click.echo(f"warning: {warning}", err=True)
    return execute_search(prepared, resources, keep_checkpoints)
