"""`raysweep results`: one row for each trial of a study."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from raysweep.planning import changes
from raysweep.terminal.plans import paragraph, settings_text
from raysweep.terminal.tables import table
from raysweep.units import duration, percent, short
from raysweep.verbs.options import LocalPath, open_store, store_option, write_output
from raysweep.verbs.show import baseline_of, protocol_of

Row = Mapping[str, Any]


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
@click.option("--out", type=LocalPath(), metavar="FILE", help="Write to FILE.  [default: print]")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
def results(study: str, store: str, form: str, out: Path | None, as_json: bool) -> None:
    """Print one row for each trial of STUDY.

    \b
    raysweep results activation --store results
    raysweep results activation --format csv --out activation.csv
    \b
    In CSV an apostrophe precedes a name that begins with = + - or @, so that no spreadsheet computes it, and control
    characters are escaped. JSON and Parquet have every name as it is.
    """
    from raysweep.store.query import render, results_table

    opened = open_store(store)
    found = results_table(opened, study)
    if as_json or form != "table":
        content = render(found, "json" if as_json else form)
    else:
        content = f"{_results_text(found.to_pylist(), opened.members().to_pylist())}\n".encode()
    if out:
        write_output(out, content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()


HEADER = ("trial", "variant", "seed", "status", "top-1 %", "log loss", "best %", "epochs", "params", "MACs", "wall")


def _results_text(rows: Sequence[Row], members: Sequence[Row]) -> str:
    """A table for each protocol and line, that is for each set of trials that are compared with one baseline."""
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lines.setdefault((row["protocol"], row["line"]), []).append(row)
    return "\n\n".join(f"{_heading(own[0], members)}\n{table(HEADER, map(_cells, own))}" for own in lines.values())


def _heading(row: Row, members: Sequence[Row]) -> str:
    """The protocol of a line and the settings of its baseline, among them the network."""
    own = {key: row[key] for key in ("study", "protocol", "line")}
    member = next(one for one in members if all(one[key] == value for key, value in own.items()))
    baseline = baseline_of(member, members)
    settings = f": {settings_text(changes(baseline, protocol_of(row)))}" if baseline else ""
    return "\n".join(paragraph(f"protocol {row['protocol'] or 'none'}, line {row['line']}{settings}"))


def _cells(row: Row) -> tuple[object, ...]:
    return (
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
