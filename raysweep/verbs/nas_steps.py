"""What `raysweep nas` does once it is understood, and the tables that it prints of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from raysweep.terminal.tables import table
from raysweep.units import percent

if TYPE_CHECKING:
    from raysweep.nas_trials.nas_request import NasRequest
    from raysweep.nas_trials.one_search import Found
    from raysweep.orchestrate.events import Outcome
    from raysweep.sweeps.resources import Resources
    from raysweep.sweeps.supernet_sweep import PreparedSharing


def run_nas(asked: NasRequest, resources: Resources, keep_checkpoints: bool, rank: int) -> tuple[list[Found], bool]:
    """Search until the budgets are spent: first by trials, then with shared weights.

    Returns also whether a search has failed: one with shared weights that did not come to its end, or, as single trials
    that fail are results, one of which none has finished.

    Raises:
        RaysweepError: whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.supernet_sweep import check_sharing

    by_trials, sharing = asked.only(sharing=False), asked.only(sharing=True)
    if sharing:
        check_sharing(sharing, resources)  # before trials are trained that come first
    searches: list[Found] = []
    failed = False
    if by_trials:
        found, outcome = run_by_trials(by_trials, resources, keep_checkpoints)
        searches, failed = [*found], bool(outcome.failed) and not any(search.has_finished for search in found)
    if sharing:
        found, outcome = run_sharing(sharing, resources, rank)
        searches, failed = [*searches, *found], failed or bool(outcome.failed)
    return searches, failed


def run_by_trials(asked: NasRequest, resources: Resources, keep_checkpoints: bool) -> tuple[Sequence[Found], Outcome]:
    """Searches whose every evaluation is a trial; prints what they found.

    Raises:
        RaysweepError: whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.nas_sweep import execute_nas, prepare_nas

    prepared = prepare_nas(asked, resources, keep_checkpoints)
    searches = prepared.searches.searches
    done = sum(len(search.asking.evaluations) for search in searches)
    begun = sum(len(search.asking.in_flight) for search in searches)
    left = prepared.searches.expected_left()
    click.echo(
        f"{len(searches)} searches: {done} evaluations before, {begun} begun, about {left} to come; results in "
        f"{prepared.searches.store.uri}",
        err=True,
    )
    for warning in prepared.warnings():
        click.echo(f"warning: {warning}", err=True)
    outcome = execute_nas(prepared, resources)
    found = [search.found() for search in searches]
    click.echo(summary(found))
    return found, outcome


def run_sharing(asked: NasRequest, resources: Resources, rank: int) -> tuple[Sequence[Found], Outcome]:
    """Searches with shared weights, and their rankings; prints what they found.

    Raises:
        RaysweepError: whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.supernet_sweep import execute_sharing, prepare_sharing

    prepared = prepare_sharing(asked, resources)
    ended = len(prepared.tasks) - len(prepared.left)
    click.echo(
        f"{len(prepared.tasks)} searches with shared weights, {ended} ended before; results in {prepared.store.uri}",
        err=True,
    )
    outcome = execute_sharing(prepared, resources)
    searches = prepared.found()
    click.echo(summary(searches))
    for name in outcome.failed:
        click.echo(f"why: {prepared.store.uri}/searches/{name}.error; the same command tries again", err=True)
    if rank:
        run_ranking(prepared, searches, resources, rank)
    return searches, outcome


def run_ranking(prepared: PreparedSharing, searches: Sequence[Found], resources: Resources, cells: int) -> None:
    """Train cells alone, and print how far their order is that by shared weights.

    Raises:
        RaysweepError: nothing has been found, a training that failed, or whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.study_sweep import run_studies
    from raysweep.sweeps.supernet_ranking import cells_of, rank, ranking_request

    found = cells_of(prepared, searches, cells)
    run_studies(ranking_request(prepared, found), resources, keep_checkpoints=False)
    header = ("method", "seed", "cells", "Kendall's tau", "Spearman's rho")
    rows = []
    for task, search in zip(prepared.tasks, searches, strict=True):
        if search.has_finished:
            click.echo(f"scoring {cells} cells with the weights of {search.name}", err=True)
            made = rank(prepared, task, search, cells, found)
            figures = (f"{made.kendall_tau:.3f}", f"{made.spearman_rho:.3f}")
            rows.append((search.method, search.seed, made.num_pairs, *figures))
    click.echo(table(header, rows))


def summary(searches: Sequence[Found]) -> str:
    """A table of what each search has found, and whom its space had no more for."""
    header = ("method", "seed", "evaluated", "failed", "best top-1, %", "proposal", "hours", "trial")
    rows = [_row(search) for search in searches]
    short = [search for search in searches if search.has_room]
    notes = [
        f"\n{search.method} seed {search.seed} ended before its budget: the space has no more architectures for it."
        for search in short
    ]
    return "".join([table(header, rows), *notes])


def _row(search: Found) -> tuple[object, ...]:
    history = search.history
    failed = sum(one.status != "finished" for one in history.evaluations)
    counts = (search.method, search.seed, len(history.evaluations), failed)
    if not search.has_finished:
        return (*counts, *"----")
    best = history.best
    return (*counts, percent(best.value), best.number, f"{history.spent.hours:.3g}", search.trial or "-")


def run_winners(
    asked: NasRequest, searches: Sequence[Found], resources: Resources, seeds: int, beside: Sequence[str]
) -> None:
    """Train the best of each search anew, as a study.

    Raises:
        RaysweepError: nothing has been found, or whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.nas_trials.retraining import retraining
    from raysweep.sweeps.study_sweep import run_studies

    request = retraining(asked, asked.trial_space(), searches, seeds, beside)
    outcome = run_studies(request, resources, keep_checkpoints=False)
    (study,) = request.find_studies()
    click.echo(f"{len(outcome.finished)} finished; raysweep report {study.name} --store {request.store}", err=True)
