"""`raysweep compare`: print how the results of two stores differ."""

from __future__ import annotations

from pathlib import Path

import click

from raysweep.terminal.notes import say
from raysweep.verbs.options import LocalPath, json_option, margin_option, print_json, warn_of, write_output


@click.command()
@click.argument("store_a")
@click.argument("store_b")
@click.option("--csv", type=LocalPath(), default=None, metavar="FILE", help="Also write the gains to a CSV file.")
@margin_option
@json_option
def compare(store_a: str, store_b: str, csv: Path | None, margin: float, as_json: bool) -> None:
    """Compare the results of STORE_A and STORE_B.

    Prints trials of the same id whose numbers differ, gains of each variant in both stores, and how well the orders of
    the variants agree.

    \b
    raysweep compare results s3://bucket/results --csv gains.csv

    Trials with the same id should have the same numbers, to the bit on the same machine. The gains of a variant differ
    if the interval of their difference excludes 0.
    """
    from raysweep.analysis.page.gain_tables import csv as csv_of
    from raysweep.analysis.two_stores import compare_stores, comparison_text

    found = compare_stores(store_a, store_b, margin)
    warn_of(found.problems)
    if csv:
        write_output(csv, csv_of(found.variants).encode())
    if as_json:
        print_json(found.as_dict())
    else:
        say(comparison_text(found))
