"""Verbs that set results beside each other: report, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from raysweep.errors import RaysweepError
from raysweep.terminal.watch_store import check_every, refreshes
from raysweep.verbs.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from analysis.comparing import StoreComparison

LIVE_EVERY_S = 30.0


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@store_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("report"), show_default=True, help="Folder to write."
)
@click.option("--live", is_flag=True, help="Write it again while a sweep runs, until nothing is left to run.")
@click.option("--every", type=float, default=None, help="Seconds between two looks of --live.  [default: 30]")
def report(studies: tuple[str, ...], store: str, out: Path, live: bool, every: float | None) -> None:
    """Write figures and tables of STUDY..., beside the published numbers, as one HTML page; prints its path.

    `all` stands for every study in the store.
    """
    if every is not None and not live:
        raise RaysweepError(f"--every {every:g} is for --live: add it.")
    if live:
        follow_report(store, studies, out, LIVE_EVERY_S if every is None else every)
        return
    from analysis.page.report import write_report
    from raysweep.terminal.progress import counted

    with counted(f"drawing {out}") as progress:
        page = write_report(store, studies, out, progress)
    click.echo(page)


def follow_report(uri: str, studies: tuple[str, ...], out: Path, every_s: float) -> None:
    """Write the report whenever a look finds something new, until nothing is left to run.

    Raises:
        RaysweepError: the time between two looks does not serve, no such study, a folder that cannot be written.
        KeyboardInterrupt: the user has seen enough; the page is the last one that was whole.
    """
    check_every(every_s)
    from analysis.page.live import LiveReport, follow

    store = open_store(uri)
    following = follow(store)
    live = LiveReport(following, store, studies, out)
    for number, (_, changed) in enumerate(refreshes(following, store, every_s)):
        page = live.update(changed, every_s)
        if number == 0:
            click.echo(page)
    live.update((), None)


@click.command()
@click.argument("store_a")
@click.argument("store_b")
@click.option("--csv", "csv", type=click.Path(path_type=Path), default=None, help="Write the variants as CSV.")
@json_option
def compare(store_a: str, store_b: str, csv: Path | None, as_json: bool) -> None:
    """Set the results of STORE_B beside those of STORE_A: trials, gains, and the order of the variants.

    Trials of the same id should have the same numbers, to the bit on the same machine. Gains of the same study differ
    where the interval of their difference excludes 0.
    """
    from analysis.comparing import compare_stores

    found = compare_stores(store_a, store_b)
    if csv:
        found.variants.to_csv(csv, index=False)
    if as_json:
        print_json(found.as_dict())
    else:
        click.echo(comparison_text(found))


def comparison_text(found: StoreComparison) -> str:
    """The comparison as tables."""
    from analysis import comparing

    parts = [comparing.trials_words(found)]
    if len(found.unequal):
        parts.append(comparing.text_table(comparing.readable_trials(found.unequal)))
    for orders in found.orders.to_dict("records"):
        own = found.variants[found.variants["pair"] == orders["pair"]]
        parts.append(comparing.order_words(orders, own))
        parts.append(comparing.text_table(comparing.readable_variants(own)))
    return "\n\n".join(parts)
