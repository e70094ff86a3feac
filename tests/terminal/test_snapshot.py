from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from raysweep.store.following import Following
from raysweep.store.store import Store
from raysweep.terminal.snapshot import Snapshot, silent_s, trial_name
from tests.store.rows import write_members, write_trial


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "s"), create=True)


def snapshot_of(store: Store) -> Snapshot:
    following = Following(store)
    following.refresh()
    return Snapshot.of(following)


def test_a_sweep_under_way(store: Store) -> None:
    write_members(store, "a", "b", "c", "d", "e")
    write_members(store, "a", study="depth")
    write_trial(store, "a", "finished", 10)
    write_trial(store, "b", "running", 5, age_s=60)
    write_trial(store, "c", "running", 0)
    write_trial(store, "d", "failed", 0, error="Traceback\nValueError: bad")
    write_trial(store, "other", "running", 1)  # belongs to no study
    snapshot = snapshot_of(store)
    activation, depth = snapshot.studies
    assert (activation.name, activation.ended, activation.total) == ("activation", 2, 5)
    assert dict(activation.counts) == {"finished": 1, "running": 2, "failed": 1, "waiting": 1}
    assert (depth.name, depth.ended, depth.total) == ("depth", 1, 1)
    assert [row["trial"] for row in snapshot.running] == ["c", "b"]
    assert [row["trial"] for row in snapshot.failed] == ["d"]
    assert snapshot.left == 3
    assert 55 < silent_s(snapshot.running[1], datetime.now(UTC)) < 120


def test_the_eta_is_of_what_is_left_at_the_present_pace(store: Store) -> None:
    write_members(store, "a", "b", "c", "d")
    assert snapshot_of(store).studies[0].eta_s() is None, "nothing is measured"
    write_trial(store, "a", "running", 5)
    write_trial(store, "b", "running", 0)
    # Two seconds an epoch: ten for the rest of a, twenty for each of b, c and d, and two run at once.
    assert snapshot_of(store).studies[0].eta_s() == pytest.approx(35)
    write_trial(store, "b", "finished", 10, wall_s=40.0)
    # On average thirty seconds for each of c and d.
    assert snapshot_of(store).studies[0].eta_s() == pytest.approx(70)
    write_trial(store, "a", "stopped", 5)
    assert snapshot_of(store).studies[0].eta_s() is None, "nothing runs"


def test_names(store: Store) -> None:
    write_members(store, "a")
    following = Following(store)
    following.refresh()
    assert trial_name(following, "a") == "activation/va seed 0"
    assert trial_name(following, "b") == "b"


def test_an_empty_store_has_nothing_left(store: Store) -> None:
    snapshot = snapshot_of(store)
    assert (snapshot.left, snapshot.studies, snapshot.last_change) == (0, [], None)
