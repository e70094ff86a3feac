"""The command group. Verbs load what they need when called: help and plans load neither torch nor ray."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from textwrap import shorten
from typing import NoReturn

import click

from raysweep.errors import LostClusterError, RaysweepError, UnfinishedError
from raysweep.process.stopping import end, is_stopping
from raysweep.terminal.notes import note
from raysweep.terminal.outputs import OutputError
from raysweep.verbs.bench import bench
from raysweep.verbs.compact import compact
from raysweep.verbs.compare import compare
from raysweep.verbs.data import data
from raysweep.verbs.decide import decide
from raysweep.verbs.doctor import doctor
from raysweep.verbs.export import export
from raysweep.verbs.init_stats import init_stats
from raysweep.verbs.list import list_things
from raysweep.verbs.nas import nas
from raysweep.verbs.new import new
from raysweep.verbs.options import EXIT_FAILED
from raysweep.verbs.plan import plan
from raysweep.verbs.predict import predict
from raysweep.verbs.report import report
from raysweep.verbs.results import results
from raysweep.verbs.run import run
from raysweep.verbs.show import show
from raysweep.verbs.status import status
from raysweep.verbs.trial import trial

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
VERBS = (
    *(list_things, plan, run, decide, nas, status, results, report, compare),
    *(show, trial, export, predict, init_stats, bench, new, data, compact, doctor),
)


@click.group(
    epilog="Start with `raysweep run activation --protocol demo`, then `raysweep report activation`. "
    "Set RAYSWEEP_TRACEBACK=1 to see the traceback of an error.",
    context_settings={"max_content_width": 120},
)
@click.version_option(package_name="raysweep")
def raysweep() -> None:
    """Find out which design choices help, for your network and your data.

    \b
    study   a question: a baseline and its variants       raysweep list studies
    plan    what would run, why, and at what cost         raysweep plan activation --protocol cifar10
    run     train every trial that is not finished        raysweep run activation --protocol cifar10 --seeds 3
    decide  verdicts on variants, within some hours       raysweep decide activation --protocol cifar10 --budget 2h
    nas     search for architectures                      raysweep nas random evolution --space nasnet --budget 60
    report  figures and tables, with published numbers    raysweep report activation
    """


for verb in VERBS:
    raysweep.add_command(verb)


def call(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit; whatever happens, the user reads a sentence and no traceback."""
    try:
        if any("\0" in word for word in arguments or ()):
            raise RaysweepError("an argument has a NUL character, which no name can have.")
        status: int = command(arguments, prog_name="raysweep", standalone_mode=False) or 0
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        status = EXIT_INTERRUPTED
    except Exception as error:
        if is_stopping():
            raise KeyboardInterrupt from None
        if os.environ.get("RAYSWEEP_TRACEBACK"):
            traceback.print_exception(error)
        status = _explain(error)
    sys.exit(status)


def _explain(error: Exception) -> int:
    """Print what went wrong; returns the exit status."""
    match error:
        case LostClusterError():
            note(f"error: {error}")
            end(EXIT_FAILED)
        case RaysweepError():
            note(f"error: {error}")
            return EXIT_FAILED if isinstance(error, UnfinishedError) else EXIT_ERROR
        case click.ClickException():
            error.show()
            return error.exit_code
        case OSError(filename=str() as path):  # a place that a user has named, or where nothing can be kept
            note(f"error: cannot use {shorten(path, 200)}: {error.strerror}.")
            return EXIT_ERROR
        case UnicodeEncodeError():
            note(f"error: {shorten(ascii(error.object), 200)} is no UTF-8 text: rename it, or use another name.")
            return EXIT_ERROR
        case OutputError(is_broken_pipe=True):  # the reader, such as head or less, has all that it wanted
            return 0
        case OutputError():
            note(f"error: cannot write the output: {error}.")
        case _:
            from raysweep.verbs.crash import report

            note(f"error: {report(error)}")
    return EXIT_FAILED
