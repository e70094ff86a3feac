"""The command group. Verbs load what they need when called: help and plans load neither torch nor ray."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from raysweep.errors import RaysweepError
from raysweep.terminal.notes import note
from raysweep.verbs.bench import bench
from raysweep.verbs.compact import compact
from raysweep.verbs.compare import compare
from raysweep.verbs.data import data
from raysweep.verbs.doctor import doctor
from raysweep.verbs.init_stats import init_stats
from raysweep.verbs.list import list_things
from raysweep.verbs.nas import nas
from raysweep.verbs.plan import plan
from raysweep.verbs.report import report
from raysweep.verbs.results import results
from raysweep.verbs.run import run
from raysweep.verbs.show import show
from raysweep.verbs.status import status
from raysweep.verbs.trial import trial

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
VERBS = (
    *(list_things, plan, run, nas, status, results, report, compare),
    *(show, trial, init_stats, bench, data, compact, doctor),
)


@click.group(
    epilog="Start with `raysweep run activation --protocol demo`, then `raysweep report activation`.",
    context_settings={"max_content_width": 120},
)
@click.version_option(package_name="raysweep")
def raysweep() -> None:
    """Find out which design choices help, for your network and your data.

    \b
    study   a question: a baseline and its variants       raysweep list studies
    plan    what would run, why, and at what cost         raysweep plan activation --protocol cifar10
    run     train every trial that is not finished        raysweep run activation --protocol cifar10 --seeds 3
    nas     search for architectures                      raysweep nas random evolution --space nasnet --budget 60
    report  figures and tables, with published numbers    raysweep report activation
    """


for verb in VERBS:
    raysweep.add_command(verb)


def call(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: status 2 and one sentence on standard error if the request cannot be carried out."""
    try:
        sys.exit(command(arguments, prog_name="raysweep", standalone_mode=False) or 0)
    except RaysweepError as error:
        note(f"error: {error}")
        sys.exit(EXIT_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
