"""Verbs that read a store, and the one that packs it: status, results, show, compact."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.patch import diff, flatten
from raysweep.protocols import find_protocol
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.terminal.watch_store import EVERY_S, watch
from raysweep.units import brief, duration, percent, short
from raysweep.verbs.options import json_option, print_json

if TYPE_CHECKING:
    from raysweep.store.store import Store

store_option = click.option("--store", default="results", show_default=True, help="Results: a folder or a URI.")
STATUSES = ("finished", "running", "diverged", "failed", "stopped", "waiting")


def open_store(uri: str) -> Store:
    """The store at that address.

    Raises:
        RaysweepError: there is none, or it cannot be read.
    """
    from raysweep.store.store import Store

    return Store.open(uri)


@click.command()
@store_option
@click.option("--watch", "watched", is_flag=True, help="Go on showing it until nothing is left to run.")
@click.option("--every", type=float, default=None, help="Seconds between two looks of --watch.  [default: 5]")
@json_option
def status(store: str, watched: bool, every: float | None, as_json: bool) -> None:
    """Print how far every study in the store is; works while a sweep runs, from any machine that reaches the store."""
    if watched and as_json:
        raise RaysweepError("--watch shows tables, or lines in a pipe: leave out --json, or run status --json often.")
    if every is not None and not watched:
        raise RaysweepError(f"--every {every:g} is for --watch: add it.")
    opened = open_store(store)
    if watched:
        watch(opened, EVERY_S if every is None else every)
        return
    rows = status_rows(opened)
    if as_json:
        print_json(rows)
        return
    header = ("study", "protocol", "line", *STATUSES, "epochs", "updated")
    keys = ("study", "protocol", "line", *STATUSES, "epochs", "updated_at")
    click.echo(table(header, ([_cell(row[key]) for key in keys] for row in rows)))
    for problem in opened.problems:
        click.echo(f"warning: {problem}", err=True)


def _cell(value: Any) -> str:
    return "-" if value in (None, 0) else f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "year") else str(value)


def status_rows(store: Store) -> list[dict[str, Any]]:
    """One row a study and line (settings): number of trials by status, epochs done, last change."""
    columns = ["trial", "status", "epochs", "updated_at"]
    trials = {row["trial"]: row for row in store.trials(columns).to_pylist()}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for member in store.members().select(["study", "protocol", "line", "trial"]).to_pylist():
        key = (member["study"], member["protocol"], member["line"])
        groups.setdefault(key, []).append(trials.get(member["trial"], {"status": "waiting"}))
    return [_status_row(key, rows) for key, rows in sorted(groups.items())]


def _status_row(key: tuple[str, str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(row["status"] for row in rows)
    updates = [row["updated_at"] for row in rows if row.get("updated_at")]
    return {
        "study": key[0],
        "protocol": key[1],
        "line": key[2],
        "trials": len(rows),
        **{name: counts[name] for name in STATUSES},
        "epochs": sum(row.get("epochs") or 0 for row in rows),
        "updated_at": max(updates, default=None),
    }


@click.command()
@click.argument("study")
@store_option
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="File to write.  [default: standard output]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def results(study: str, store: str, form: str, out: Path | None, as_json: bool) -> None:
    """Print one row a trial of STUDY: status, top-1, log loss, cost and speed."""
    from raysweep.store.query import render, results_table

    found = results_table(open_store(store), study)
    form = "json" if as_json else form
    content = (_results_text(found.to_pylist()) + "\n").encode() if form == "table" else render(found, form)
    if out:
        out.write_bytes(content)
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


@click.command()
@click.argument("trial")
@store_option
@click.option("--all", "every", is_flag=True, help="Every recipe field, not only those that differ from the protocol.")
@json_option
def show(trial: str, store: str, every: bool, as_json: bool) -> None:
    """Print the recipe, results and provenance behind the number of TRIAL (an id or its beginning)."""
    found = stored_trial(open_store(store), trial)
    recipe = recipe_from_json(found["recipe"])
    found["recipe"] = flatten(recipe)
    found["diff"] = diff(recipe, find_protocol(found["protocol"]))
    if as_json:
        print_json(found)
        return
    names = ", ".join(f"{member['study']}/{member['variant']}" for member in found["studies"])
    click.echo(f"trial {found['trial']}: {names}\n")
    what, fields = ("recipe", found["recipe"]) if every else ("differs from the protocol in", found["diff"])
    click.echo(table((what, found["protocol"]), ((path, brief(value)) for path, value in fields.items())))
    shown = {key: value for key, value in found.items() if key not in ("recipe", "diff", "studies", "trial")}
    click.echo("\n" + table(("result and provenance", ""), ((key, value) for key, value in shown.items())))


def stored_trial(store: Store, prefix: str) -> dict[str, Any]:
    """All that a store knows of a trial: its row, or its recipe alone where it has not started, and its studies.

    Raises:
        RaysweepError: no trial, or several, of that id.
    """
    trial = store.find_trial(prefix)
    members = [row for row in store.members().to_pylist() if row["trial"] == trial]
    row = store.trial(trial) or {"trial": trial, "status": "waiting", **members[0]}
    studies = [{"study": member["study"], "variant": member["variant"]} for member in members]
    return {key: row[key] for key in row if key not in ("diff", "summary")} | {"studies": studies}


@click.command()
@store_option
def compact(store: str) -> None:
    """Put the small files of trials that have ended into few large ones, also while a sweep runs.

    A sweep does this by itself when it ends in a store of more than a thousand small files. Nothing that a store tells
    is changed by it, killed or not.
    """
    from raysweep.store import compaction

    opened = open_store(store)
    with counted("compacting") as show:
        done = compaction.compact(opened, show=show)
    click.echo(f"{done.trials:,} trials compacted, {done.deleted:,} small files deleted, {done.left:,} left")
    for problem in opened.problems:
        click.echo(f"warning: {problem}", err=True)
