"""`raysweep run`: train the trials that are not finished."""

from __future__ import annotations

from typing import Any

import click

from raysweep.arguments import take_request, take_space
from raysweep.safe import command
from raysweep.terminal.notes import note
from raysweep.verbs.options import EXIT_FAILED, KEPT, begin_work, recipe_options, space_options
from raysweep.verbs.resources import resource_options


@click.command(epilog="A second run trains only what is not finished. Ctrl-C loses at most the epoch in progress.")
@recipe_options
@space_options
@resource_options
def run(studies: tuple[str, ...], keep_checkpoints: bool, **options: Any) -> None:
    """Train the unfinished trials of STUDY... or of a search space.

    \b
    raysweep run activation --protocol cifar10 --data data/cifar10 --seeds 2 --epochs 3 --width 0.25
    raysweep run activation --protocol demo --variants elu,tanh --inline
    raysweep run joint --protocol cifar10 --searcher optuna --scheduler asha --trials 200
    """
    from raysweep.sweeps.resources import take_resources
    from raysweep.sweeps.space_sweep import run_space
    from raysweep.sweeps.study_sweep import run_studies
    from raysweep.sweeps.unwritten import with_images

    space = take_space(options, studies)
    request, resources = take_request(options, studies), take_resources(options)
    request = with_images(request)
    begin_work(KEPT)
    if space:
        outcome = run_space(request, resources, space, keep_checkpoints)
    else:
        outcome = run_studies(request, resources, keep_checkpoints)
    note(
        f"{len(outcome.finished)} finished, {len(outcome.diverged)} diverged, {len(outcome.failed)} failed, "
        f"{len(outcome.stopped)} stopped"
    )
    if outcome.failed:
        show = command("raysweep", "show", outcome.failed[0], "--store", request.store)
        note(f"see why: `{show}`. The same command tries the failed trials again.")
        raise click.exceptions.Exit(EXIT_FAILED)
