from __future__ import annotations

import os
from pathlib import Path

import pytest

from raysweep.store import following as module
from raysweep.store.compaction import compact
from raysweep.store.following import Following
from raysweep.store.store import Store
from tests.store.rows import write_members, write_trial


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "s"), create=True)


@pytest.fixture
def read(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []
    plain = store.files.find

    def noting(name: str) -> bytes | None:
        names.append(name)
        return plain(name)

    monkeypatch.setattr(store.files, "find", noting)
    return names


def long_ago(store: Store) -> None:
    """Everything in the store was written an hour ago."""
    for path in Path(store.uri).rglob("*.parquet"):
        os.utime(path, ns=(path.stat().st_mtime_ns - 3_600_000_000_000,) * 2)


def test_only_what_has_changed_is_read_again(store: Store, read: list[str]) -> None:
    names = [f"t{number:03}" for number in range(200)]
    write_members(store, *names)
    for name in names:
        write_trial(store, name, "finished", 10)
    long_ago(store)
    write_trial(store, "t007", epochs=1)
    following = Following(store)
    assert len(following.refresh()) == 200
    assert len(read) == 202, "members, trials, and a claim"
    read.clear()
    write_trial(store, "t007", epochs=2)
    write_trial(store, "new")
    assert {row["trial"]: row["epochs"] for row in following.refresh()} == {"t007": 2, "new": 0}
    assert sorted(name for name in read if "trials" in name) == ["trials/new.parquet", "trials/t007.parquet"]
    assert following.refresh() == []
    read.clear()
    assert following.refresh() == []
    assert read == [], "files that did not change twice are not read again"
    assert following.trials["t007"]["epochs"] == 2


def test_a_change_within_the_resolution_of_a_clock_is_seen(store: Store) -> None:
    """Times in object storage are whole seconds: a row of the same size in the same second has the same stamp."""
    write_members(store, "a")
    write_trial(store, "a", "running", 3)
    following = Following(store)
    following.refresh()
    path = Path(store.uri) / "trials/a.parquet"
    for status in ("stopped", "running"):  # at the first refresh, and at a later one
        before = path.stat()
        write_trial(store, "a", status, 3)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        assert [row["status"] for row in following.refresh()] == [status]
        write_trial(store, "a", status, 4)
        assert [row["epochs"] for row in following.refresh()] == [4]


def test_members_that_a_search_adds_are_found(store: Store) -> None:
    write_members(store, "a", "b")
    following = Following(store)
    following.refresh()
    write_members(store, "c", study="joint")
    write_members(store, "a", study="depth")
    following.refresh()
    studies = {trial: [row["study"] for row in rows] for trial, rows in following.members.items()}
    assert studies == {"a": ["activation", "depth"], "b": ["activation"], "c": ["joint"]}


def test_everything_is_read_again_when_files_are_gone(store: Store, read: list[str]) -> None:
    for name in ("a", "b", "c"):
        write_trial(store, name, "finished", 10)
    long_ago(store)
    following = Following(store)
    following.refresh()
    read.clear()
    (Path(store.uri) / "trials/a.parquet").unlink()
    assert following.refresh() == []
    assert len(read) == 2
    assert following.trials.keys() == {"a", "b", "c"}, "a row once known stays known"


def test_a_compaction_between_two_refreshes_hides_nothing(store: Store) -> None:
    write_members(store, "a", "b")
    write_members(store, "c", study="depth")
    write_trial(store, "a", "finished", 10)
    write_trial(store, "b", "running", 3)
    following = Following(store)
    following.refresh()
    write_trial(store, "b", "finished", 10)
    write_trial(store, "c", "failed", 1)
    assert compact(store).left == 0
    assert {row["trial"]: row["status"] for row in following.refresh()} == {"b": "finished", "c": "failed"}
    assert following.refresh() == []
    late = Following(store)
    late.refresh()
    assert (late.trials, late.members) == (following.trials, following.members)


def test_the_columns_are_of_the_schema() -> None:
    assert set(module.TRIAL_COLUMNS) <= set(module.TRIAL.names)
    assert set(module.MEMBER_COLUMNS) <= set(module.MEMBERS.names)
