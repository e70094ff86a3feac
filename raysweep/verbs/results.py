"""`raysweep results`: one row for each trial of a study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from raysweep.terminal.tables import table
from raysweep.units import duration, percent, short
from raysweep.verbs.options import open_store, store_option, write_output


@click.command()
@click.argument("study")
@store_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "parquet"]),
    default="table",
    show_default=True,
    help="Format of the output; csv, json and parquet have every column.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE.  [default: print]")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
def results(study: str, store: str, form: str, out: Path | None, as_json: bool) -> None:
    """Print one row for each trial of STUDY.

    \b
    raysweep results activation --store results
    raysweep results activation --format csv --out activation.csv
    """
    from raysweep.store.query import render, results_table

    found = results_table(open_store(store), study)
    form = "json" if as_json else form
    content = (_results_text(found.to_pylist()) + "\n").encode() if form == "table" else render(found, form)
    if out:
        write_output(out, content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()


def _results_text(rows: list[dict[str, Any]]) -> str:
    header = ("trial", "variant", "seed", "status", "top-1 %", "log loss", "best %", "epochs", "params", "MACs", "wall")
    return table(
        header,
        (
            (
                row["trial"],
                row["variant"],
                row["seed"],
                row["status"],
                percent(row["top1"]),
                "-" if row["logloss"] is None else f"{row['logloss']:.3f}",
                percent(row["best_top1"]),
                row["epochs"],
                short(row["params"]),
                short(row["macs"]),
                duration(row["wall_s"]),
            )
            for row in rows
        ),
    )
