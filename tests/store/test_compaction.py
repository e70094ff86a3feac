"""Compaction against kills, readers and writers: it never changes what a store contains."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from raysweep.errors import RaysweepError
from raysweep.store import compaction
from raysweep.store.compaction import LEFT_S, Compacted, compact, compact_if_many, count_small
from raysweep.store.files import Files, Stamp
from raysweep.store.store import Store
from raysweep.verbs.entry import raysweep
from tests.store.test_store import member_row

START = datetime(2026, 1, 1, tzinfo=UTC)
NUM_EPOCHS = 3


def write(
    store: Store, trial: str, status: str = "finished", hour: int = 0, epochs: int = NUM_EPOCHS, **more: Any
) -> None:
    """A trial as training leaves it: epochs first, then its row."""
    store.write_epochs(trial, [{"trial": trial, "epoch": e, "top1": e / 10 + hour} for e in range(1, epochs + 1)])
    row = {"trial": trial, "status": status, "epochs": epochs, "seed": hour, "recipe": "{}"}
    store.write_trial(row | more | {"updated_at": START + timedelta(hours=hour)})


def fill(store: Store, trials: int) -> None:
    """Trials of every status, each a member of a study by a file of its own."""
    for number in range(trials):
        trial = f"t{number:04}"
        write(store, trial, ("finished", "diverged", "failed", "stopped", "running")[number % 5])
        store.write_members([member_row(trial, trial, "s") | {"order": number, "protocol": "demo", "line": "l"}])


def contents(store: Store) -> tuple[pa.Table, ...]:
    """Everything in a store, as a new reader sees it."""
    fresh = Store(store.files)
    tables = fresh.trials(), fresh.epochs(), fresh.members().sort_by("trial")
    assert fresh.problems == []
    return tables


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


@pytest.mark.parametrize("remote", [False, True])
def test_the_content_of_a_store_stays_the_same(store: Store, tmp_path: Path, remote: bool) -> None:
    if remote:  # a file system that is not local, as object storage is
        base = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
        store = Store(Files("sub://store", base, "store"))
    fill(store, 50)
    before = contents(store)
    assert compact(store, per_segment=20) == Compacted(trials=40, deleted=40 + 40 + 50, left=10 + 10)
    assert contents(store) == before
    assert store.trial("t0003") == next(row for row in before[0].to_pylist() if row["trial"] == "t0003")
    assert store.epochs(["t0003"])["top1"].to_pylist() == [0.1, 0.2, 0.3]
    assert store.epochs(["t0003", "t0004", "none"]).num_rows == 2 * NUM_EPOCHS
    assert store.trial("none") is None
    assert store.find_trial("t0003") == "t0003"
    assert store.trials(["trial", "status"]).equals(before[0].select(["trial", "status"]))
    assert compact(store) == Compacted(left=20), "nothing is left to do"
    assert contents(store) == before


def test_the_nan_of_a_diverged_trial_is_kept(store: Store) -> None:
    write(store, "wild", "diverged", epochs=0)
    lost = {"trial": "wild", "epoch": 1, "train_loss": math.nan, "top1": None}
    store.write_epochs("wild", [lost])
    assert compact(store) == Compacted(1, 2)
    (row,) = Store(store.files).epochs().to_pylist()
    assert math.isnan(row["train_loss"])
    assert row["top1"] is None


def test_a_trial_that_is_trained_further_after_its_compaction(store: Store) -> None:
    write(store, "a", "failed", epochs=2)
    write(store, "b", "finished")
    compact(store)
    store.write_trial({"trial": "a", "status": "running", "epochs": 2, "updated_at": START + timedelta(hours=1)})
    assert (store.trial("a") or {})["status"] == "running"
    assert store.epochs(["a"]).num_rows == 2, "its earlier epochs, until the next one ends"
    compact(store)
    write(store, "a", "finished", hour=2, epochs=1)
    for _ in range(2):
        assert [row["status"] for row in store.trials().to_pylist()] == ["finished", "finished"]
        assert (store.trial("a") or {})["seed"] == 2
        assert store.epochs(["a"])["top1"].to_pylist() == [2.1], "none of the attempt before"
        assert store.epochs()["trial"].to_pylist() == ["a", "b", "b", "b"]
        compact(store)
    assert count_small(store) == 0


def test_a_trial_that_failed_again_before_its_first_epoch_keeps_its_epochs(store: Store) -> None:
    write(store, "a", "failed", epochs=2)
    compact(store)
    store.write_trial({"trial": "a", "status": "failed", "seed": 7, "updated_at": START + timedelta(hours=1)})
    compact(store)
    assert (store.trial("a") or {})["seed"] == 7
    assert store.epochs().num_rows == 2


def test_a_file_changed_while_it_is_compacted_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry of a failed trial begins when the compaction has just read it."""
    fill(store, 5)
    write_segment = store.segments.write_trials

    def meanwhile(*segment: Any) -> None:
        write_segment(*segment)
        write(store, "t0002", "running", hour=1, epochs=1)

    monkeypatch.setattr(store.segments, "write_trials", meanwhile)
    assert compact(store).left == 4, "those of the running trial and of the retry"
    assert (store.trial("t0002") or {})["status"] == "running"
    assert store.epochs(["t0002"])["top1"].to_pylist() == [1.1]


@pytest.mark.parametrize("ends", [("failed", "finished"), ("failed", "stopped"), ("stopped", "diverged")])
def test_a_later_attempt_counts_although_its_clock_was_behind(store: Store, ends: tuple[str, str]) -> None:
    """Two compactions, between which the clock has gone back by three hours."""
    for attempt, (status, hour) in enumerate(zip(ends, (3, 0), strict=True), 1):
        write(store, "a", status, hour=hour, attempts=attempt)
        compact(store)
    fresh = Store(store.files)
    assert not store.files.names("trials", ".parquet")
    assert (fresh.trial("a") or {})["status"] == ends[1]
    assert fresh.trials(["trial", "status"])["status"].to_pylist() == [ends[1]]
    assert fresh.epochs(["a"])["top1"].to_pylist() == fresh.epochs()["top1"].to_pylist() == [0.1, 0.2, 0.3]


def test_rows_without_attempts_count_by_their_time(store: Store) -> None:
    for hour in (1, 0):
        write(store, "a", "failed", hour=hour)
        compact(store)
    assert (Store(store.files).trial("a") or {})["seed"] == 1


def test_what_killed_writers_left_is_deleted_once_it_is_old(store: Store) -> None:
    write(store, "a", "running")
    folder = Path(store.uri, "trials")
    old, young, users = folder / ".a.parquet.1-ab.part", folder / ".b.parquet.1-ab.part", folder / "note.part"
    for path, age_s in ((old, LEFT_S + 60), (young, 60.0), (users, 2 * LEFT_S)):
        path.write_bytes(b"half")
        written = (folder / "a.parquet").stat().st_mtime - age_s
        os.utime(path, (written, written))
    compact(store)
    assert not old.exists()
    assert young.exists()
    assert users.exists()


def test_a_segment_that_reads_differently_keeps_the_small_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 5)
    before = contents(store)
    put = store.files.write
    monkeypatch.setattr(store.files, "write", lambda name, content: put(name, content[: len(content) // 2]))
    with pytest.raises(RaysweepError, match=r"compacted/trials-"):
        compact(store)
    assert count_small(store) == 15
    assert Store(store.files).trials().equals(before[0])


def test_damaged_files_are_left_alone(store: Store) -> None:
    fill(store, 10)
    for name in ("trials/t0000", "epochs/t0001", f"members/{'x' * 8}"):
        Path(store.uri, f"{name}.parquet").write_bytes(b"PAR1 torn")
    compact(store)
    assert Path(store.uri, "trials/t0000.parquet").exists()
    assert Path(store.uri, "epochs/t0001.parquet").exists()
    assert (store.trial("t0001") or {})["status"] == "diverged"
    assert len(store.problems) == 3


def test_a_damaged_segment_is_named_and_the_others_are_read(store: Store) -> None:
    fill(store, 10)
    compact(store, per_segment=5)
    first = sorted(Path(store.uri, "compacted").glob("trials-*"))[0]
    first.write_bytes(b"PAR1 torn")
    assert store.trials().num_rows == 2 + 4
    assert f"compacted/{first.name}" in store.problems[0]
    with pytest.raises(RaysweepError, match=r"compacted/trials-"):
        store.trial("none")


def test_columns_of_an_older_segment(store: Store) -> None:
    """What it lacks is null, of the trials and of their epochs."""
    fill(store, 5)
    compact(store)
    (path,) = Path(store.uri, "compacted").glob("trials-*")
    rows = pq.read_table(path).drop_columns(["host", "seed"]).to_pylist()
    for row in rows:
        for epoch in row["epoch_rows"]:
            del epoch["logloss"], epoch["attempt"]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert store.trial("t0001") is not None
    assert store.trials()["host"].null_count == 5
    assert store.epochs(["t0001"])["top1"].to_pylist() == [0.1, 0.2, 0.3]
    assert store.epochs()["top1"].null_count == 0


def test_a_sweep_compacts_when_there_are_many_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 5)
    assert compact_if_many(store) is None
    monkeypatch.setattr(compaction, "MANY_FILES", 10)
    assert compact_if_many(store) == Compacted(trials=4, deleted=13, left=2)


def test_the_verb(store: Store) -> None:
    fill(store, 5)
    done = CliRunner().invoke(raysweep, ["compact", "--store", store.uri])
    assert done.exit_code == 0, done.output
    assert "4 trials compacted, 13 small files deleted, 2 left" in done.output
    status = CliRunner().invoke(raysweep, ["status", "--store", store.uri])
    assert status.output.splitlines()[1].split()[3:9] == ["1", "-", "1", "1", "1", "1"]


COMPACTOR = """
import sys
from raysweep.store.compaction import LEFT_S, compact
from raysweep.store.store import Store
store = Store.open(sys.argv[1])
print(flush=True)
compact(store, per_segment=7)
"""


def compactor(store: Store) -> subprocess.Popen[bytes]:
    """A compaction in a process of its own that is about to begin."""
    process = subprocess.Popen([sys.executable, "-c", COMPACTOR, store.uri], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def kill(process: subprocess.Popen[bytes]) -> bool:
    """kill -9; returns whether it was still at work."""
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def killed_compactions(store: Store, kills: int, rng: random.Random) -> int:
    """Reads all the time, kills when a random share of the files is gone; returns how many were at work."""
    before, at_work = contents(store), 0
    for _ in range(kills):
        process, few = compactor(store), rng.uniform(0.2, 0.99) * count_small(store)
        while process.poll() is None and count_small(store) > few:
            assert contents(store) == before
        time.sleep(rng.uniform(0, 0.005))
        at_work += kill(process)
        assert contents(store) == before
    return at_work


@pytest.mark.long
def test_kill_of_a_compaction_at_random_moments(store: Store) -> None:
    fill(store, 100)
    before = contents(store)
    assert killed_compactions(store, 3, random.Random(0)) >= 1
    compact(store)
    assert contents(store) == before
    assert count_small(store) == 40


def test_files_left_by_a_kill_after_the_first_deletion_are_taken_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 10)
    before = contents(store)
    delete = compaction._delete

    def delete_and_die(store: Store, stamps: Mapping[str, Stamp]) -> int:
        delete(store, dict([*stamps.items()][:1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(compaction, "_delete", delete_and_die)
    with pytest.raises(KeyboardInterrupt):
        compact(store)
    monkeypatch.undo()
    assert contents(store) == before
    compact(store)
    assert contents(store) == before
    ended = [row["trial"] for row in store.trials().to_pylist() if row["status"] in compaction.ENDED]
    assert not [name for name in store.files.names("epochs", ".parquet") if Path(name).stem in ended]


@pytest.mark.long
def test_forty_killed_compactions(tmp_path: Path) -> None:
    rng, at_work = random.Random(1), 0
    for number in range(10):
        store = Store.open(str(tmp_path / str(number)), create=True)
        fill(store, 150)
        at_work += killed_compactions(store, 4, rng)
    assert at_work >= 10


SWEEP = """
import sys, time
from raysweep.store.store import Store
from tests.store.test_compaction import write
store, first = Store.open(sys.argv[1]), int(sys.argv[2])
for number in range(first, 160, 2):
    for hour, status in ((1, "running"), (2, "failed"), (3, "running"), (4, "finished")):
        write(store, f"t{number:04}", status, hour, epochs=hour)
        time.sleep(0.01)
    row = store.trial(f"t{number:04}")
    assert (row["status"], row["seed"]) == ("finished", 4), row
"""


@pytest.mark.long
def test_two_sweeps_continue_while_their_store_is_compacted_repeatedly(store: Store) -> None:
    """Both retry failed trials; each ends as its own sweep wrote it, and no epoch is of an earlier attempt."""
    for number in range(160):
        write(store, f"t{number:04}", "failed", epochs=5)
    command = [sys.executable, "-c", SWEEP, store.uri]
    sweeps = [subprocess.Popen([*command, str(first)], cwd=Path(__file__).parents[2]) for first in (0, 1)]
    passes = 0
    while any(sweep.poll() is None for sweep in sweeps):
        compact(store, per_segment=50)
        passes += 1
    assert [sweep.returncode for sweep in sweeps] == [0, 0]
    assert passes > 5
    trials, epochs, _ = contents(store)
    assert set(trials["status"].to_pylist()) == {"finished"}
    assert set(trials["seed"].to_pylist()) == {4}
    assert epochs["top1"].to_pylist() == [e / 10 + 4 for _ in range(160) for e in range(1, 5)]
    compact(store)
    assert count_small(store) == 0
