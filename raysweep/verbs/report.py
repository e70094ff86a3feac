"""`raysweep report`: write the HTML page, figures and tables of studies."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from raysweep.terminal.notes import say
from raysweep.terminal.watch_store import LEAST_S, refreshes, seconds_between
from raysweep.verbs.options import FloatRange, LocalPath, margin_option, store_option

EVERY_S = 30.0


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@store_option
@click.option(
    "--out",
    type=LocalPath(),
    default=Path("report"),
    show_default=True,
    metavar="FOLDER",
    help="Folder to write the report to.",
)
@click.option("--live", is_flag=True, help="Rewrite the report while a sweep runs, until the sweep is over.")
@click.option(
    "--every",
    type=FloatRange(LEAST_S, 1e6),
    default=None,
    metavar="SECONDS",
    help="Seconds between updates with --live.  [default: 30]",
)
@margin_option
def report(studies: tuple[str, ...], store: str, out: Path, live: bool, every: float | None, margin: float) -> None:
    """Write figures and tables of STUDY... as one HTML page.

    Published numbers stand next to the measured ones. Prints the path of the page. `all` stands for every study in the
    store.

    \b
    raysweep report activation pooling --store results --out report
    raysweep report all --live
    """
    every_s = seconds_between(every, EVERY_S, live, "--live")
    from raysweep.analysis.page.html_page import ignore
    from raysweep.analysis.page.report import write_report
    from raysweep.terminal.progress import counted

    with nullcontext(ignore) if live else counted(f"drawing {out}") as progress:
        write_report(
            store,
            studies,
            out,
            progress,
            refreshes=refreshes if live else None,
            every_s=every_s,
            margin=margin,
            ready=lambda page: say(str(page)),
        )
