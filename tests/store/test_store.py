from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.store.files import Files
from raysweep.store.schema import EPOCHS, MEMBERS, SCHEMA_VERSION, TRIAL
from raysweep.store.store import Store
from tests.disks import small_disk


def trial_row(trial: str = "0123456789ab", **more: Any) -> dict[str, Any]:
    return {"trial": trial, "status": "running", "seed": 0, "epochs": 1, "top1": 0.5} | more


def member_row(trial: str = "0123456789ab", variant: str = "relu", study: str = "activation") -> dict[str, Any]:
    row: dict[str, Any] = {column.name: "" for column in MEMBERS if column.type == pa.string()}
    return row | {"study": study, "variant": variant, "trial": trial, "seed": 0, "order": 0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


def test_rows_come_back(store: Store) -> None:
    store.write_trial(trial_row(top1=0.25, status="finished"))
    store.write_epochs("0123456789ab", [{"trial": "0123456789ab", "epoch": 1, "top1": 0.2}])
    again = Store.open(store.uri)
    row = again.trial("0123456789ab")
    assert row is not None
    assert (row["status"], row["top1"], row["error"]) == ("finished", 0.25, None)
    assert again.trials().schema.equals(TRIAL)
    assert again.epochs(["0123456789ab"]).to_pylist()[0]["top1"] == 0.2
    assert again.epochs(["ffffffffffff"]).num_rows == 0
    assert again.trial("ffffffffffff") is None


def test_an_empty_store_reads_as_empty_tables(store: Store) -> None:
    assert store.trials().schema.equals(TRIAL)
    assert store.epochs().schema.equals(EPOCHS)
    assert store.members().schema.equals(MEMBERS)


def test_every_column_is_documented() -> None:
    for schema in (TRIAL, EPOCHS, MEMBERS):
        for field in schema:
            assert field.metadata[b"doc"], field.name


def test_members_are_kept_once(store: Store) -> None:
    store.write_members([member_row()])
    store.write_members([member_row()])
    store.write_members([member_row(), member_row("ba9876543210", "elu")])
    assert store.members().num_rows == 2


def test_checkpoints(store: Store) -> None:
    assert store.read_checkpoint("a") is None
    store.write_checkpoint("a", b"one")
    store.write_checkpoint("a", b"two")
    assert store.read_checkpoint("a") == b"two"
    store.delete_checkpoint("a")
    store.delete_checkpoint("a")
    assert store.read_checkpoint("a") is None


def test_a_trial_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    store.write_trial(trial_row("aa11"))
    store.write_trial(trial_row("aa22"))
    store.write_members([member_row("bb33")])
    assert store.find_trial("aa1") == "aa11"
    assert store.find_trial("b") == "bb33"
    for quoted in ('"aa1"', "'aa11'", " aa11\n", "`aa1`"):
        assert store.find_trial(quoted) == "aa11", "as it is copied from a CSV file"
    with pytest.raises(RaysweepError, match="2 .*'aa'.*aa11, aa22"):
        store.find_trial("aa")
    with pytest.raises(RaysweepError, match="'cc'"):
        store.find_trial("cc")


def test_no_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="`raysweep run STUDY --store"):
        Store.open(str(tmp_path / "none"))
    assert Store.open_if_exists(str(tmp_path / "none")) is None
    assert not (tmp_path / "none").exists()


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RaysweepError, match=f"{tmp_path}/file"):
        Store.open(str(tmp_path / "file"), create=True)
    with pytest.raises(RaysweepError, match=r"store\.json.*/proc/nowhere/store"):
        Store.open("/proc/nowhere/store", create=True)
    with pytest.raises(RaysweepError, match="nosuch://bucket/store"):
        Store.open("nosuch://bucket/store", create=True)


def test_a_store_that_has_become_read_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RaysweepError, match="Read-only file system"):
        Store.open(store.uri, create=True)


def test_a_store_of_a_newer_schema(store: Store) -> None:
    Path(store.uri, "store.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + 6}))
    with pytest.raises(RaysweepError, match=f"schema {SCHEMA_VERSION + 6}.*upgrade raysweep"):
        Store.open(store.uri)


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"schema_version": "x"}', '{"schema_version": null}'])
def test_a_damaged_mark_says_what_it_should_hold(store: Store, text: str) -> None:
    Path(store.uri, "store.json").write_text(text)
    with pytest.raises(RaysweepError, match=r"store\.json.*damaged.*schema_version"):
        Store.open(store.uri)


def test_columns_of_an_older_and_of_a_later_writer(store: Store) -> None:
    older = pa.table({"trial": ["a"], "status": ["finished"], "novel": [1]})
    (Path(store.uri) / "trials").mkdir()
    pq.write_table(older, Path(store.uri) / "trials" / "a.parquet")
    row = store.trial("a")
    assert row is not None
    assert list(row) == TRIAL.names
    assert (row["status"], row["top1"]) == ("finished", None)


def test_a_damaged_file_does_not_hide_the_others(store: Store) -> None:
    store.write_trial(trial_row("good"))
    Path(store.uri, "trials", "bad.parquet").write_bytes(b"PAR1 torn")
    Path(store.uri, "trials", ".left.parquet.123").write_bytes(b"left by a killed writer")
    assert store.trials()["trial"].to_pylist() == ["good"]
    assert store.trials().num_rows == 1
    assert len(store.problems) == 1, "named once, however often it is read"
    assert "trials/bad.parquet" in store.problems[0]
    with pytest.raises(RaysweepError, match=r"trials/bad\.parquet"):
        store.trial("bad")


def test_a_file_of_foreign_types_does_not_hide_the_others(store: Store) -> None:
    store.write_trial(trial_row("good"))
    pq.write_table(pa.table({"trial": ["bad"], "top1": ["high"]}), Path(store.uri) / "trials" / "bad.parquet")
    assert store.trials()["trial"].to_pylist() == ["good"]
    assert "trials/bad.parquet" in store.problems[0]


def test_an_epoch_written_twice_counts_once_with_its_last_row(store: Store) -> None:
    rows = [{"trial": "a", "epoch": epoch, "top1": top1} for epoch, top1 in ((1, 0.1), (2, 0.2), (2, 0.3), (3, 0.4))]
    store.write_epochs("a", rows)
    assert store.epochs()["top1"].to_pylist() == [0.1, 0.3, 0.4]


def test_a_folder_removed_while_the_store_is_open_is_made_again(store: Store) -> None:
    store.write_trial(trial_row())
    shutil.rmtree(store.uri)
    store.write_trial(trial_row(status="finished"))
    assert store.trials()["status"].to_pylist() == ["finished"]


def test_manifests_of_image_sets(store: Store, small_images: Path) -> None:
    manifest = read_manifest(small_images)
    store.write_manifest(manifest)
    Path(store.uri, "data", "torn.json").write_text("{")
    assert store.manifests() == {manifest.digest: manifest}
    assert "data/torn.json" in store.problems[0]


def test_a_trial_file_is_small(store: Store) -> None:
    """A store of ten thousand trials is read in seconds because its files have no more than their rows."""
    store.write_trial(dict.fromkeys(TRIAL.names) | trial_row(recipe="{}", versions="{}"))
    assert Path(store.uri, "trials", "0123456789ab.parquet").stat().st_size < 5000


@pytest.mark.parametrize(
    "uri", ["s3://", "s3://bucket/store?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"]
)
def test_an_address_that_cannot_be_reached(uri: str) -> None:
    with pytest.raises(RaysweepError, match="s3://"):
        Store.open(uri)


def test_a_full_disk_leaves_what_was_written(tmp_path: Path) -> None:
    """A real file system of 1 MiB, filled by a checkpoint."""
    with small_disk(tmp_path / "small", "1m") as small:
        store = Store.open(str(small / "store"), create=True)
        store.write_trial(trial_row())
        store.write_checkpoint("a", b"small")
        with pytest.raises(RaysweepError, match="checkpoints/a.pt.*disk is full"):
            store.write_checkpoint("a", os.urandom(2**21))
        assert store.read_checkpoint("a") == b"small"
        assert store.trial("0123456789ab") is not None
        assert not list((small / "store" / "checkpoints").glob(".*"))
        store.write_trial(trial_row(status="finished"))


WRITER = """
import sys
from raysweep.store.store import Store
store = Store.open(sys.argv[1])
for number in range(10**6):
    rows = [{"trial": "t", "epoch": epoch, "iteration": number} for epoch in range(1, 200)]
    store.write_epochs("t", rows)
    store.write_checkpoint("t", bytes([number % 256]) * 10**6)
    print(number, flush=True)
"""


def test_readers_never_see_a_torn_file(store: Store) -> None:
    """kill -9 of a writer at arbitrary moments, while a reader reads all the time."""
    for pause in (0.0, 0.003, 0.011, 0.02, 0.05):
        process = subprocess.Popen([sys.executable, "-c", WRITER, store.uri], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + pause
        while True:
            rows = store.epochs(["t"]).to_pylist()
            content = store.read_checkpoint("t")
            assert len({row["iteration"] for row in rows}) == 1
            assert len(rows) == 199
            assert content is not None
            assert len(content) == 10**6
            assert len(set(content)) == 1
            if time.monotonic() > deadline:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert store.epochs(["t"]).num_rows == 199
    assert store.problems == []


@pytest.mark.parametrize("scheme", ["file", "mock"])
def test_any_file_system_of_arrow(tmp_path: Path, scheme: str) -> None:
    if scheme == "file":
        store = Store.open(f"file://{tmp_path}/store", create=True)
    else:  # one that is not local, as object storage is
        base = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
        store = Store(Files("sub://store", base, "store"))
        store.files.write("store.json", b'{"schema_version": 1}')
    store.write_trial(trial_row())
    store.write_members([member_row()])
    store.write_checkpoint("a", b"x")
    assert store.trials().num_rows == 1
    assert store.find_trial("01") == "0123456789ab"
    assert store.read_checkpoint("a") == b"x"
    store.delete_checkpoint("a")
    assert store.read_checkpoint("a") is None


class Interrupting(pafs.SubTreeFileSystem):  # type: ignore[misc]
    """Object storage, where closing an object commits it, and Ctrl-C while one is open."""

    objects: dict[str, bytes]

    def open_output_stream(self, path: str) -> Any:
        @contextmanager
        def stream() -> Iterator[Any]:
            sink = io.BytesIO()
            try:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                for _ in range(1000):  # of which the first gives a signal handler its turn in the main thread
                    pass
                yield sink
            finally:
                self.objects[path] = sink.getvalue()

        return stream()


def test_an_interrupted_write_to_object_storage_commits_the_whole_object_or_none(tmp_path: Path) -> None:
    storage = Interrupting(str(tmp_path), pafs.LocalFileSystem())
    storage.objects = {}
    files = Files("sub://store", storage, "store")
    with pytest.raises(KeyboardInterrupt):
        files.write("checkpoints/a.pt", b"whole")
    deadline = time.monotonic() + 60
    while not storage.objects and time.monotonic() < deadline:  # Ctrl-C may arrive while the writing thread starts
        time.sleep(0.01)
    assert storage.objects == {"store/checkpoints/a.pt": b"whole"}


def test_many_evaluations_take_little_room(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    cell = "sep_conv_3x3 0, avg_pool_3x3 1; " * 20
    rows = [{"search": "a", "place": place, "architecture": f"{cell}{place}", "key": cell} for place in range(2000)]
    store.write_evaluations("a", rows)
    assert store.evaluations()["architecture"].to_pylist() == [row["architecture"] for row in rows]
    assert (tmp_path / "searches" / "a.parquet").stat().st_size < 2000 * len(cell) / 10
