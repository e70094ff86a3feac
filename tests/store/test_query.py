from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysweep.errors import RaysweepError
from raysweep.store.claims import Claim
from raysweep.store.provenance import git_state, provenance
from raysweep.store.query import FORMATS, render, results_table
from raysweep.store.schema import TRIAL
from raysweep.store.store import Store
from tests.store.test_store import member_row, trial_row

CONTRACT = (
    *("trial", "study", "variant", "seed", "status", "top1", "logloss", "best_top1", "epochs"),
    *("params", "macs", "wall_s", "images_per_s", "data_wait_s"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.write_trial(trial_row("a", status="finished"))
    store.write_trial(trial_row("b", status="diverged", top1=None, logloss=math.nan))
    members = [member_row("b", "elu") | {"order": 1}, member_row("a"), member_row("c", "tanh") | {"order": 2}]
    store.write_members(members)
    return store


def test_one_row_a_trial_in_columns_that_stay(store: Store) -> None:
    table = results_table(store, "activation")
    assert tuple(table.column_names[: len(CONTRACT)]) == CONTRACT
    assert table["variant"].to_pylist() == ["relu", "elu", "tanh"]
    assert table["status"].to_pylist() == ["finished", "diverged", "waiting"]


def test_a_trial_runs_only_while_it_is_claimed(store: Store) -> None:
    """An old store has rows that say running, and no claims."""
    store.write_trial(trial_row("a", status="running"))
    assert results_table(store, "activation")["status"].to_pylist() == ["interrupted", "diverged", "waiting"]
    claims = [Claim(store.files, trial) for trial in "abc"]
    assert [claim.take() for claim in claims] == ["", "", ""]
    assert results_table(store, "activation")["status"].to_pylist() == ["running", "diverged", "running"]
    for claim in claims:
        claim.release()
    assert results_table(store, "activation")["status"].to_pylist() == ["interrupted", "diverged", "waiting"]


def test_all_formats_hold_the_same_rows(store: Store) -> None:
    table = results_table(store, "activation")
    from_json = json.loads(render(table, "json"))
    from_csv = list(csv.DictReader(io.StringIO(render(table, "csv").decode())))
    from_parquet = pq.read_table(io.BytesIO(render(table, "parquet"))).to_pylist()
    assert [row["trial"] for row in from_json] == ["a", "b", "c"]
    assert [row["trial"] for row in from_csv] == ["a", "b", "c"]
    assert [row["trial"] for row in from_parquet] == ["a", "b", "c"]
    assert list(from_json[0]) == list(from_csv[0]) == list(from_parquet[0])
    assert from_json[0]["top1"] == 0.5
    assert from_json[1]["logloss"] is None


def test_unknown_study_and_format(store: Store) -> None:
    with pytest.raises(RaysweepError, match="'activatio'.* activation"):
        results_table(store, "activatio")
    with pytest.raises(RaysweepError, match="'xml'"):
        render(results_table(store, "activation"), "xml")
    assert "xml" not in FORMATS


def test_provenance_fills_columns_of_the_trial() -> None:
    found = provenance()
    assert found.keys() <= set(TRIAL.names)
    assert found["torch"].startswith("2.")
    assert "numba" in json.loads(found["versions"])


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == (None, None)


def test_asking_for_the_commit_leaves_the_index_of_the_user_alone(tmp_path: Path) -> None:
    """`git status` would rewrite the index, and make a `git commit` of the user at that moment fail."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("x")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    os.utime(tmp_path / "file", (1, 1))  # the index is stale, so that a status would refresh it
    before = (tmp_path / ".git" / "index").read_bytes()
    commit, dirty = git_state(tmp_path)
    assert commit
    assert dirty is False
    assert (tmp_path / ".git" / "index").read_bytes() == before
