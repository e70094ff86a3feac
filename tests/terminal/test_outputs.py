"""Standard output and error that are closed, full, or that nobody reads."""

from __future__ import annotations

import subprocess
import sys

import pytest

FULL = "/dev/full"
QUIET = "import sys; from raysweep.__main__ import main; sys.argv = ['raysweep', 'list', {kind!r}]; main()"
TRAINING = """
import os, sys
import click
from raysweep.terminal.notes import note
from raysweep.terminal.outputs import checked_outputs, training_goes_on

with checked_outputs():
    training_goes_on()
    for epoch in range(3):
        note(f"epoch {epoch}")
        click.echo(f"epoch {epoch}")
    with open("opened", "w") as file:
        file.write("trained")
        assert file.fileno() > 2, "it would take what is printed"
sys.exit(7)
"""


def run(code: str, redirections: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the redirections of a shell; the status is that of Python."""
    command = f'set -o pipefail; "$0" -c "$1" {redirections}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, code], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "redirections",
    [">/dev/full 2>/dev/full", ">&- 2>&-", "2>&1 | true", "2>&- | head -1", "< /dev/null >&- 2>/dev/full"],
)
def test_output_that_cannot_be_written_ends_no_training(redirections: str) -> None:
    done = run(TRAINING, redirections)
    assert done.returncode == 7, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("redirections", "status", "words"),
    [("| head -1", 0, ""), ("| true", 0, ""), (">/dev/full", 1, "space"), (">&-", 1, "descriptor")],
)
def test_a_quiet_verb_says_that_its_output_cannot_be_written(redirections: str, status: int, words: str) -> None:
    done = run(QUIET.format(kind="fields"), redirections)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)


def test_without_standard_error_the_status_says_what_happened() -> None:
    assert run(QUIET.format(kind="nonsense"), "2>&-").returncode == 2
