"""Options of the verbs that train: where trials run, and how. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raysweep.verbs.options import DETERMINISTIC

if TYPE_CHECKING:
    from raysweep.sweeps.study_sweep import Resources

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--workers", type=int, default=None, help="Trials at once.  [default: what the cluster has room for]"),
    click.option(
        "--gpus",
        type=float,
        default=None,
        help="GPUs per worker, may be a fraction.  [default: where there are any, the share that measurement finds "
        "best]",
    ),
    click.option(
        "--workers-per-trial", type=int, default=1, show_default=True, help="Data-parallel workers of one trial."
    ),
    click.option("--threads", type=int, default=1, show_default=True, help="CPU threads per worker."),
    click.option(
        "--attempts", type=int, default=2, show_default=True, help="Attempts before a trial counts as failed."
    ),
    click.option(
        "--share-images/--no-share-images",
        default=True,
        show_default=True,
        help="Decode an image once for all trials on the same node that need it.",
    ),
    click.option("--deterministic", is_flag=True, help=DETERMINISTIC),
    click.option("--address", default=None, help="Ray cluster to join.  [default: RAY_ADDRESS, else a local one]"),
    click.option("--inline", is_flag=True, help="Without Ray: one trial after another in this process."),
    click.option(
        "--log-to",
        multiple=True,
        metavar="TOOL[:PLACE]",
        help="Besides the store: tensorboard:FOLDER, mlflow:TRACKING_URI or wandb:PROJECT. May be given often.",
    ),
    click.option("--keep-checkpoints", is_flag=True, help="Keep the last checkpoint of finished trials."),
)


def resource_options(command: Command) -> Command:
    """Where trials run."""
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


def take_resources(options: dict[str, Any]) -> Resources:
    """The resources that the shared options make; takes them out of `options`.

    Raises:
        RaysweepError: a tool to log to that is not there.
    """
    from raysweep.sweeps.study_sweep import Resources, check_logging

    resources = Resources(
        inline=options.pop("inline"),
        address=options.pop("address"),
        workers=options.pop("workers"),
        workers_per_trial=options.pop("workers_per_trial"),
        gpus_per_worker=options.pop("gpus"),
        threads=options.pop("threads"),
        max_attempts=options.pop("attempts"),
        share_images=options.pop("share_images"),
        deterministic=options.pop("deterministic"),
        log_to=options.pop("log_to"),
    )
    check_logging(resources)
    return resources
