"""Options of the verbs that train: where trials run, and with what. Loads neither torch nor ray."""

from __future__ import annotations

import click

from raysweep.arguments import RESOURCES
from raysweep.verbs.options import DETERMINISTIC, Command, with_options

_FLAGS = (
    click.option(
        "--share-images/--no-share-images",
        default=True,
        show_default=True,
        help="Decode each image once for all trials on the same node that need it.",
    ),
    click.option("--deterministic", is_flag=True, help=DETERMINISTIC),
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
    for decorate in reversed(_FLAGS):
        command = decorate(command)
    return with_options(command, RESOURCES)
