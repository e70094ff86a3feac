"""All that verbs print: results on standard output, messages on standard error. No name or error steers a terminal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from raysweep.safe import note_lines, printable

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str = "") -> None:
    """Print results of one line or more; the names in them are one line each, see `raysweep.terminal.tables`."""
    click.echo("\n".join(map(printable, text.split("\n"))))


def note(text: str) -> None:
    """Print a message to the user; dropped if standard error cannot be written."""
    with suppress(OSError, ValueError):
        click.echo(note_lines(text), err=True)


def warn(text: str) -> None:
    """Print a warning, unless it is empty."""
    if text:
        note(f"warning: {text}")


def console(stderr: bool) -> Console:
    """A terminal that shows text as it is: what looks like markup or an emoji code is part of a name or an error."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
