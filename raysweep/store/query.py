"""Results of a study for scripts and notebooks: one row per trial, in columns that do not change."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysweep.errors import RaysweepError, did_you_mean, unknown
from raysweep.safe import csv_table
from raysweep.store.claims import at_present, holders
from raysweep.store.current import settle
from raysweep.store.schema import MEMBERS, TRIAL
from raysweep.store.store import Store
from raysweep.study import stored_name
from raysweep.units import json_text

COLUMNS = (
    *("trial", "study", "variant", "seed", "status", "top1", "logloss", "best_top1", "epochs"),
    *("params", "macs", "wall_s", "images_per_s", "data_wait_s"),
    *("protocol", "line"),
)
FORMATS = ("json", "csv", "parquet")


def results_table(store: Store, study: str) -> pa.Table:
    """The trials of a study, ordered by seed and variant; those not started have the status `waiting`.

    A trial that began and that no process trains now has the status `interrupted`. Trials that another one has replaced
    are left out and named in the problems of the store.

    Raises:
        RaysweepError: the store has no results of this study.
    """
    study, stored = stored_name(study), store.members()
    own = stored.filter(pc.equal(stored["study"], study)).to_pylist()
    if not own:
        known = set(stored["study"].to_pylist())
        raise RaysweepError(f"{store.uri} has no results of the study {study!r}.{did_you_mean(study, known)}")
    measured = [name for name in COLUMNS if name in TRIAL.names]
    claimed = holders(store.files)
    trials = {row["trial"]: row for row in store.trials([*measured, "updated_at"]).to_pylist()}
    updated = {trial: row["updated_at"] for trial, row in trials.items() if row["updated_at"]}
    members = [own[place] | {"variant": name} for place, name in settle(own, updated, store.note)]
    members.sort(key=lambda row: (row["protocol"], row["line"], row["seed"], row["order"]))
    waiting = dict.fromkeys(measured) | {"status": "waiting", "epochs": 0}
    rows = at_present(store.files, (trials.get(row["trial"], waiting) | row for row in members), claimed)
    schema = pa.schema([(TRIAL if name in TRIAL.names else MEMBERS).field(name) for name in COLUMNS])
    return pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in rows], schema=schema)


def render(table: pa.Table, form: str) -> bytes:
    """The table as JSON (an array of objects), CSV or Parquet.

    Raises:
        RaysweepError: unknown format.
    """
    sink = io.BytesIO()
    if form == "json":
        sink.write((json_text(table.to_pylist()) + "\n").encode())
    elif form == "csv":
        sink.write(csv_table(table.column_names, (row.values() for row in table.to_pylist())).encode())
    elif form == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        raise unknown("format", form, FORMATS)
    return sink.getvalue()
