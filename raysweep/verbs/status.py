"""`raysweep status`: how far every study in a store is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from raysweep.errors import RaysweepError
from raysweep.store.current import settle
from raysweep.terminal.notes import say
from raysweep.terminal.tables import table
from raysweep.terminal.watch_store import EVERY_S, seconds_between, watch
from raysweep.verbs.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from raysweep.store.store import Store

STATUSES = ("finished", "running", "diverged", "failed", "stopped", "waiting")


@click.command()
@store_option
@click.option("--watch", "watched", is_flag=True, help="Refresh until no trial is left to run.")
@click.option(
    "--every", type=float, default=None, metavar="SECONDS", help="Seconds between refreshes with --watch.  [default: 5]"
)
@json_option
def status(store: str, watched: bool, every: float | None, as_json: bool) -> None:
    """Print the progress of every study in a store.

    It works while a sweep runs, from any machine that can access the store.

    \b
    raysweep status --store s3://bucket/results --watch
    """
    if watched and as_json:
        raise RaysweepError("--watch prints tables or lines, not JSON: leave out --json, or call status --json again.")
    every_s = seconds_between(every, EVERY_S, watched, "--watch")
    opened = open_store(store)
    if watched:
        watch(opened, every_s)
        return
    rows = status_rows(opened)
    if as_json:
        print_json(rows)
        return
    header = ("study", "protocol", "line", *STATUSES, "epochs", "updated")
    keys = ("study", "protocol", "line", *STATUSES, "epochs", "updated_at")
    say(table(header, ([_cell(row[key]) for key in keys] for row in rows)))


def _cell(value: Any) -> str:
    return "-" if value in (None, 0) else f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "year") else str(value)


def status_rows(store: Store) -> list[dict[str, Any]]:
    """One row for each study and line (settings): trials by status, epochs done, time of the last change."""
    columns = ["trial", "status", "epochs", "updated_at"]
    trials = {row["trial"]: row for row in store.trials(columns).to_pylist()}
    updated = {trial: row["updated_at"] for trial, row in trials.items() if row["updated_at"]}
    members = store.members().to_pylist()
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for member in (members[place] for place, _ in settle(members, updated, store.note)):
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
