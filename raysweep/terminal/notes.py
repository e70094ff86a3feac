"""Single lines to the user, on standard error: standard output is for results."""

from __future__ import annotations

from contextlib import suppress

import click


def note(text: str) -> None:
    """Print a line; dropped if standard error cannot be written."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning, unless it is empty."""
    if text:
        note(f"warning: {text}")
