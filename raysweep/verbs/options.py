"""Command-line options that verbs share. Loads neither torch nor ray."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raysweep.arguments import SHORTHANDS, SPACE_ARGUMENTS
from raysweep.errors import RaysweepError

if TYPE_CHECKING:
    from raysweep.store.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FAILED = 1
"""A trial failed. A request that cannot be carried out exits with 2, Ctrl-C with 130."""
DETERMINISTIC = "Use only algorithms that give the same bits every time: slower on a GPU, no difference on a CPU."

store_option = click.option(
    "--store", default="results", show_default=True, metavar="URI", help="Results store: a folder or a URI."
)


def setting_options(command: Command) -> Command:
    """Protocol, settings, data and store."""
    for name, argument in reversed(SHORTHANDS.items()):
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            type=argument.kind,
            metavar=argument.metavar,
            help=f"{argument.help} Sets {argument.path}.",
        )(command)
    decorators = (
        click.option(
            "--protocol",
            default="imagenet128",
            show_default=True,
            metavar="NAME",
            help="Baseline recipe; see `raysweep list protocols`.",
        ),
        click.option(
            "--seeds",
            type=int,
            default=1,
            show_default=True,
            metavar="N",
            help="Repeat each trial with seeds 0 to N-1.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="Image set written by `raysweep data write`.  [default: data/PROTOCOL if it exists]",
        ),
        click.option(
            "--store",
            default="results",
            show_default=True,
            metavar="URI",
            help="Where results are stored: a folder, or an s3:// or gs:// URI.",
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Set any recipe field; see `raysweep list fields`. Can be repeated.",
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def recipe_options(command: Command) -> Command:
    """Studies and their variants, in addition to the settings."""
    command = click.option(
        "--variants", default="", metavar="NAMES", help="Only these variants and the baseline, comma-separated."
    )(setting_options(command))
    command = click.option(
        "--trunks",
        metavar="URI",
        help="Store of the trained networks that `transfer` starts from, run with --keep-checkpoints.",
    )(command)
    return click.argument("studies", nargs=-1, required=True, metavar="STUDY...")(command)


def space_options(command: Command) -> Command:
    """How a search space is explored; refused for studies."""
    for name, argument in reversed(SPACE_ARGUMENTS.items()):
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            type=argument.kind,
            metavar=argument.metavar,
            help=f"Search spaces only. {argument.help}",
        )(command)
    return command


def open_store(uri: str) -> Store:
    """The store at a folder or URI.

    Raises:
        RaysweepError: it does not exist or cannot be read.
    """
    from raysweep.store.store import Store

    return Store.open(uri)


def json_option(command: Command) -> Command:
    """`--json`: machine-readable output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: an array of objects.")(command)


def print_json(rows: Any) -> None:
    """Print rows as JSON."""
    click.echo(json.dumps(rows, indent=2, default=str))


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named.

    Raises:
        RaysweepError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RaysweepError(f"cannot write {path}: {error.strerror}. Name a file in a folder that exists.") from None
