"""`raysweep status`: how far every study in a store is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.errors import RaysweepError
from raysweep.terminal.notes import say
from raysweep.terminal.tables import table
from raysweep.terminal.watch_store import EVERY_S, LEAST_S, seconds_between, watch
from raysweep.verbs.options import FloatRange, json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from raysweep.store.asked_questions import AskedQuestion
    from raysweep.store.store import Store

STATUSES = ("finished", "running", "interrupted", "diverged", "failed", "stopped", "waiting")


@click.command()
@store_option
@click.option("--watch", "watched", is_flag=True, help="Refresh until no trial is left to run.")
@click.option(
    "--every",
    type=FloatRange(LEAST_S, 1e6),
    default=None,
    metavar="SECONDS",
    help="Seconds between refreshes with --watch.  [default: 5]",
)
@json_option
def status(store: str, watched: bool, every: float | None, as_json: bool) -> None:
    """Print the progress of every study in a store.

    It works while a sweep runs, from any machine that can access the store, and shows what `raysweep decide` has found.

    \b
    raysweep status --store s3://bucket/results --watch
    """
    if watched and as_json:
        raise RaysweepError("--watch prints tables or lines, not JSON: leave out --json, or call status --json again.")
    every_s = seconds_between(every, EVERY_S, watched, "--watch")
    if watched:
        from raysweep.store.store import Store

        watch(Store.open(store), every_s)  # which shows the problems itself
        return
    from raysweep.store.asked_questions import asked_questions

    opened = open_store(store)
    questions = asked_questions(opened.files, opened.note)
    rows = status_rows(opened)
    if as_json:
        print_json(with_questions(rows, questions))
        return
    header = ("study", "protocol", "line", *STATUSES, "epochs", "updated")
    keys = ("study", "protocol", "line", *STATUSES, "epochs", "updated_at")
    say(table(header, ([_cell(row[key]) for key in keys] for row in rows)))
    for line in running_lines(opened):
        say(line)
    if questions:
        from raysweep.terminal.questions import questions_text

        say(f"\n{questions_text(questions)}")


def with_questions(rows: Sequence[dict[str, Any]], questions: Sequence[AskedQuestion]) -> list[dict[str, Any]]:
    """The rows, each with the questions about its study: `decide`, an array of objects; one more row where none is."""
    others = sorted({one.study for one in questions} - {row["study"] for row in rows})
    return [
        row | {"decide": [one.to_json() for one in questions if one.study == row["study"]]}
        for row in [*rows, *(_status_row((study, "", ""), []) for study in others)]
    ]


def running_lines(store: Store) -> Iterator[str]:
    """One line for each host that trains trials of a store."""
    from raysweep.store.claims import holders

    since: dict[str, list[str]] = {}
    for holder in holders(store.files).values():
        since.setdefault(holder.host, []).append(holder.since)
    for host, times in sorted(since.items()):
        yield f"running: {len(times)} on {host}, {'since' if len(times) == 1 else 'the first since'} {min(times)}"


def _cell(value: Any) -> str:
    return "-" if value in (None, 0) else f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "year") else str(value)


def status_rows(store: Store) -> list[dict[str, Any]]:
    """One row for each study and line (settings): trials by status, epochs done, time of the last change."""
    from raysweep.store.claims import at_present, holders
    from raysweep.store.current import settle

    columns = ["trial", "status", "epochs", "updated_at"]
    claimed = holders(store.files)
    trials = {row["trial"]: row for row in store.trials(columns).to_pylist()}
    updated = {trial: row["updated_at"] for trial, row in trials.items() if row["updated_at"]}
    members = store.members().to_pylist()
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for member in (members[place] for place, _ in settle(members, updated, store.note)):
        key, trial = (member["study"], member["protocol"], member["line"]), member["trial"]
        groups.setdefault(key, []).append(trials.get(trial, {"trial": trial, "status": "waiting"}))
    return [_status_row(key, at_present(store.files, rows, claimed)) for key, rows in sorted(groups.items())]


def _status_row(key: tuple[str, str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
