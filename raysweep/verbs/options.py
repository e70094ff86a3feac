"""Command-line options that verbs share. Loads neither torch nor ray."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raysweep.addresses import check_local
from raysweep.arguments import REQUEST, SHORTHANDS, SPACES, STUDIES, Argument
from raysweep.errors import RaysweepError, cannot_write
from raysweep.process.stopping import keeps
from raysweep.terminal.notes import say, warn
from raysweep.terminal.outputs import training_goes_on
from raysweep.units import json_text

if TYPE_CHECKING:
    from raysweep.store.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A path on this machine; a URI is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            RaysweepError: a URI.
        """
        return super().convert(check_local(str(value)), param, ctx)


EXIT_FAILED = 1
"""A trial failed. A request that cannot be carried out exits with 2, a signal with 128 and its number."""
KEPT = "every finished epoch is in the store"
DETERMINISTIC = "Use only algorithms that give the same bits every time: slower on a GPU, no difference on a CPU."

store_option = click.option(
    "--store", default="results", show_default=True, metavar="URI", help="Results store: a folder or a URI."
)
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set any recipe field; see `raysweep list fields`. Can be repeated.",
)


def with_options(command: Command, table: Mapping[str, Argument], note: str = "") -> Command:
    """The command with an option for each argument of a table; `note` precedes each help text."""
    for name, argument in reversed(list(table.items())):
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            default=argument.default,
            show_default=bool(argument.default),
            **({"is_flag": True} if argument.kind is bool else {"type": _type(argument), "metavar": argument.metavar}),
            help=f"{note}{argument.help}" + (f" Sets {argument.path}." if argument.path else ""),
        )(command)
    return command


def _type(argument: Argument) -> Any:
    if argument.kind is Path:
        return LocalPath()
    if argument.range is None:
        return argument.kind
    least, most = argument.range
    return click.IntRange(int(least), int(most)) if argument.kind is int else FloatRange(least, most)


class FloatRange(click.FloatRange):
    """click's own lets NaN pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A number of the range."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number.", param, ctx) if math.isnan(number) else number


margin_option = click.option(
    "--margin",
    type=FloatRange(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Smallest gain in top-1 that matters: variants whose interval lies within it are called equal.",
)


def setting_options(command: Command) -> Command:
    """Protocol, settings, data and store."""
    return with_options(set_option(with_options(command, SHORTHANDS)), REQUEST)


def recipe_options(command: Command) -> Command:
    """Studies and their variants, in addition to the settings."""
    command = with_options(setting_options(command), STUDIES)
    return click.argument("studies", nargs=-1, required=True, metavar="STUDY...")(command)


def space_options(command: Command) -> Command:
    """How a search space is explored; refused for studies."""
    return with_options(command, SPACES, "Search spaces only. ")


def open_store(uri: str) -> Store:
    """The store at a folder or URI; when the command has ended, it warns of what could not be read or was left out.

    Raises:
        RaysweepError: it does not exist or cannot be read.
    """
    from raysweep.store.store import Store

    store = Store.open(uri)
    click.get_current_context().call_on_close(lambda: warn_of(store.problems))
    return store


def warn_of(problems: Iterable[str]) -> None:
    """Print a warning for each message."""
    for problem in problems:
        warn(problem)


def json_option(command: Command) -> Command:
    """`--json`: machine-readable output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: an array of objects.")(command)


def print_json(rows: Any) -> None:
    """Print rows as JSON."""
    say(json_text(rows))


def begin_work(kept: str) -> None:
    """From here on, output that cannot be written ends nothing, and a signal prints what is kept."""
    training_goes_on()
    keeps(kept)


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named.

    Raises:
        RaysweepError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RaysweepError(cannot_write(path, error)) from None
