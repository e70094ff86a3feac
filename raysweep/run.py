"""The `run` verb, and the script that `ray submit cluster/cluster.yaml raysweep/run.py -- STUDY...` starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # Started by path, Python puts this file's folder first: its modules would hide packages of the same names.
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [folder for folder in sys.path if folder != here]
    if (Path(here).parent / "search_spaces").is_dir():
        sys.path.append(str(Path(here).parent))

import click

from raysweep.verbs.options import recipe_options, search_options, take_request, take_search
from raysweep.verbs.resources import resource_options, take_resources
from raysweep.verbs.searching import run_search

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome
    from raysweep.request import Request
    from raysweep.sweeps.study_sweep import Resources

EXIT_FAILED = 1
"""Some trial failed; a request that cannot be carried out exits with 2, Ctrl-C with 130."""


@click.command(
    name="run",
    epilog="A second run trains only what is not finished. Ctrl-C loses at most the epoch under way.",
)
@recipe_options
@search_options
@resource_options
def run(keep_checkpoints: bool, **options: Any) -> None:
    """Train the trials of STUDY... that are not finished yet, or search the space `joint`.

    \b
    raysweep run activation --protocol cifar10 --data data/cifar10 --seeds 2 --epochs 3 --width 0.25
    raysweep run activation --protocol demo --variants elu,tanh --inline
    raysweep run joint --protocol cifar10 --searcher optuna --scheduler asha --trials 200
    """
    search = take_search(options, options["studies"])
    request = take_request(options)
    resources = take_resources(options)
    try:
        if search:
            outcome = run_search(request, resources, search, keep_checkpoints)
        else:
            outcome = run_studies(request, resources, keep_checkpoints)
    except KeyboardInterrupt:
        click.echo("stopped; every finished epoch is in the store. The same command continues.", err=True)
        raise
    click.echo(
        f"{len(outcome.finished)} finished, {len(outcome.diverged)} diverged, {len(outcome.failed)} failed, "
        f"{len(outcome.stopped)} stopped",
        err=True,
    )
    if outcome.failed:
        click.echo(f"why: raysweep show TRIAL --store {request.store}; the same command tries them again", err=True)
        raise click.exceptions.Exit(EXIT_FAILED)


def run_studies(request: Request, resources: Resources, keep_checkpoints: bool) -> Outcome:
    """Train what is not finished of the studies named.

    Raises:
        RaysweepError: whatever of the request cannot be done.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.planning import to_run
    from raysweep.sweeps.study_sweep import advice, execute, prepare

    prepared = prepare(request, resources)
    finished = sum(planned.action == "skip" for planned in prepared.plan)
    click.echo(f"{len(prepared.plan)} trials, {finished} finished before; results in {prepared.store}", err=True)
    for planned in prepared.omitted:
        member = planned.members[0]
        click.echo(f"left out: {member.study}/{member.variant}, since {planned.reason}", err=True)
    if warning := advice(planned.recipe for planned in to_run(prepared.plan)):
        click.echo(f"warning: {warning}", err=True)
    return execute(prepared, resources, keep_checkpoints)


def main() -> None:
    """Run the verb alone, errors as sentences."""
    from raysweep.__main__ import call

    call(run)


if __name__ == "__main__":
    main()
