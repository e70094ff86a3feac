"""The `raysweep` command. Verbs load what they need when called: help and plans load neither torch nor ray."""

from __future__ import annotations

import os
import sys

import click

from raysweep.errors import RaysweepError
from raysweep.run import run
from raysweep.verbs.bench import bench
from raysweep.verbs.compare import compare
from raysweep.verbs.data import data
from raysweep.verbs.doctor import doctor
from raysweep.verbs.init_stats import init_stats
from raysweep.verbs.list import list_things
from raysweep.verbs.nas import nas
from raysweep.verbs.plan import plan
from raysweep.verbs.report import report
from raysweep.verbs.status import compact, results, show, status
from raysweep.verbs.trial import trial

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


@click.group(
    epilog="Start with `raysweep run activation --protocol demo`, then `raysweep report activation`.",
    context_settings={"max_content_width": 120},
)
@click.version_option(package_name="raysweep")
def raysweep() -> None:
    """Which design choices help, for your network and your data.

    \b
    study   one question: a baseline and its variants       raysweep list studies
    plan    what would run, why, and what it costs          raysweep plan activation --protocol cifar10
    run     train what is not finished yet                  raysweep run activation --protocol cifar10 --seeds 3
    nas     search for architectures                        raysweep nas random evolution --space nasnet --budget 60
    report  figures and a table, beside the paper's         raysweep report activation
    """


VERBS = (
    list_things,
    plan,
    run,
    nas,
    status,
    results,
    report,
    compare,
    show,
    trial,
    init_stats,
    bench,
    data,
    compact,
    doctor,
)
for command in VERBS:
    raysweep.add_command(command)


def call(command: click.Command) -> None:
    """Run a command; a user's mistake is one sentence on standard error and exit status 2."""
    try:
        sys.exit(command(standalone_mode=False) or 0)
    except RaysweepError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def main() -> None:
    """Entry point of the `raysweep` command."""
    call(raysweep)


if __name__ == "__main__":
    main()
