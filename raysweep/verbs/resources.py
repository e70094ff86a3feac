"""Options of the verbs that train: where trials run, and with what. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from raysweep.verbs.options import DETERMINISTIC

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of trials at once.  [default: as many as fit into the cluster]",
    ),
    click.option(
        "--gpus",
        type=click.FloatRange(min=0),
        metavar="N",
        help="GPUs per worker; fractions allowed.  [default: measured automatically if GPUs are present]",
    ),
    click.option(
        "--workers-per-trial",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Data-parallel workers of each trial.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="CPU threads per worker.",
    ),
    click.option(
        "--attempts",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        metavar="N",
        help="Attempts before a trial counts as failed.",
    ),
    click.option(
        "--share-images/--no-share-images",
        default=True,
        show_default=True,
        help="Decode each image once for all trials on the same node that need it.",
    ),
    click.option("--deterministic", is_flag=True, help=DETERMINISTIC),
    click.option("--address", metavar="ADDRESS", help="Ray cluster to join.  [default: RAY_ADDRESS, else a local one]"),
    click.option("--inline", is_flag=True, help="Run trials one at a time in this process, without Ray."),
    click.option(
        "--log-to",
        multiple=True,
        metavar="TOOL[:PLACE]",
        help="Also log every epoch to tensorboard:FOLDER, mlflow:TRACKING_URI or wandb:PROJECT. Can be repeated.",
    ),
    click.option("--keep-checkpoints", is_flag=True, help="Keep the last checkpoint of each finished trial."),
)


def resource_options(command: Command) -> Command:
    """The options of `Resources`, and `--keep-checkpoints`."""
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command
