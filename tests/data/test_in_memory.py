"""JPEG sets decoded once per node: the same batches, one file for all processes, decoding as needed without room."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.data import in_memory
from raysweep.data.beton import read_beton
from raysweep.data.image_file import ImageFile
from raysweep.data.in_memory import close_files, open_images
from raysweep.data.manifest import Manifest
from raysweep.data.stream import TestStream, TrainStream
from raysweep.disk import cache
from raysweep.disk.private import private_folder
from raysweep.errors import RaysweepError
from raysweep.process.machine import Memory
from tests.disks import give_away

Stored = dict[str, tuple[Path, Manifest]]


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of this user in a substitute for /dev/shm."""
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(in_memory, "SHARED_MEMORY", tmp_path / "shm")
    yield tmp_path / "shm" / f"raysweep-{os.geteuid()}"
    close_files()


def stores(folder: Path) -> list[Path]:
    return list(folder.glob("*.pixels*"))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("changes", [{}, {"pad": 3}, {"scales": (1.0, 1.25), "rotation": 5.0}])
def test_batches_are_those_of_the_file(stored: Stored, memory: Path, threads: int, changes: dict[str, Any]) -> None:
    folder, manifest = stored["jpg"]
    for split in ("train", "test"):
        whole, file = open_images(folder, manifest, split, threads), ImageFile.open(folder, manifest, split)
        assert (whole.is_encoded, file.is_encoded) == (False, True)
        streams = [TrainStream(f, side=32, batch_size=16, seed=5, **changes) for f in (whole, file)]
        tests = [TestStream(f, side=32, batch_size=16) for f in (whole, file)]
        for number in range(3):
            for one, other in (streams, tests):
                np.testing.assert_array_equal(one.batch(number).images, other.batch(number).images)  # type: ignore[attr-defined]
    assert {path.name for path in stores(memory)} == {f"{s.sha256}.pixels" for s in manifest.splits.values()}


def test_stored_pixels_are_not_copied(stored: Stored, memory: Path) -> None:
    assert not open_images(*stored["raw"], "train").is_encoded
    assert not memory.exists()


@pytest.mark.parametrize("limit", ["LARGEST", "MEMORY_SHARE", "FREE_SHARE"])
def test_a_set_that_does_not_fit_is_decoded_as_it_is_read(
    stored: Stored, memory: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_memory, limit, 0)
    file = open_images(*stored["jpg"], "train")
    assert file.is_encoded
    assert TrainStream(file, side=32, batch_size=16, seed=5).batch(0).images.any()
    assert not stores(memory)


def test_without_shared_memory_the_cache_folder_is_used(
    stored: Stored, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_memory, "SHARED_MEMORY", tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not open_images(*stored["jpg"], "train").is_encoded
    assert len(stores(tmp_path / "cache" / "raysweep" / "pixels")) == 1


@pytest.mark.parametrize("kind", ["link", "foreign"])
def test_a_folder_that_another_user_may_have_made_is_not_used(
    stored: Stored, memory: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link there would have files of the user truncated and removed."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "lock").write_text("precious")
    if kind == "link":
        memory.symlink_to(victim)
    else:
        memory.mkdir(mode=0o777)
        give_away(memory, monkeypatch)
    assert not open_images(*stored["jpg"], "train").is_encoded
    assert (victim / "lock").read_text() == "precious"
    assert [path.name for path in memory.iterdir()] == (["lock"] if kind == "link" else [])


def test_without_a_home_folder_images_are_opened_all_the_same(
    stored: Stored, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(in_memory, "SHARED_MEMORY", tmp_path / "none")
    monkeypatch.setattr(cache, "_temporary", lambda: private_folder(tmp_path / "temporary"))
    assert not open_images(*stored["jpg"], "train").is_encoded


def test_a_full_disk_is_no_error(stored: Stored, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(in_memory.os, "posix_fallocate", full)
    assert open_images(*stored["jpg"], "train").is_encoded
    assert not stores(memory)


OPEN = """
import sys, time
from pathlib import Path
from raysweep.data import in_memory
from raysweep.data.beton import read_beton
from raysweep.data.manifest import read_manifest
in_memory.SHARED_MEMORY = Path(sys.argv[2])
made = []
make = in_memory._make
in_memory._make = lambda *arguments: made.append(1) or make(*arguments)
file = in_memory.open_images(Path(sys.argv[1]), read_manifest(Path(sys.argv[1])), "train")
print(len(made), file.is_encoded, flush=True)
sys.stdin.read()
"""


def start(folder: Path, memory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(folder), str(memory.parent)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_processes_of_a_node_share_one_file_and_the_last_removes_it(stored: Stored, memory: Path) -> None:
    processes = [start(stored["jpg"][0], memory) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(said, processes)) == ["0 False", "1 False"]
    for left, process in enumerate(processes[::-1]):
        assert len(stores(memory)) == 1, left
        process.communicate()
    assert not stores(memory)


def test_files_of_killed_processes_are_reused_or_removed_when_stale(stored: Stored, memory: Path) -> None:
    killed, open_now = start(stored["jpg"][0], memory), start(stored["jpg"][0], memory)
    assert {said(killed), said(open_now)} == {"0 False", "1 False"}
    (store,) = stores(memory)
    killed.kill()
    killed.communicate()
    hour_ago = time.time() - in_memory.KEEP_S - 1
    os.utime(store, (hour_ago, hour_ago))
    in_memory.remove_stale(memory)
    assert store.exists()  # a process has it open
    open_now.kill()
    open_now.communicate()
    os.utime(store)
    in_memory.remove_stale(memory)
    assert store.exists()  # it was used recently
    os.utime(store, (hour_ago, hour_ago))
    in_memory.remove_stale(memory)
    assert not store.exists()


def test_a_file_with_wrong_pixels_is_written_again(stored: Stored, memory: Path) -> None:
    folder, manifest = stored["jpg"]
    before = TestStream(open_images(folder, manifest, "test"), side=40, batch_size=50).batch(0).images
    (store,) = stores(memory)
    store.chmod(0o600)
    content = store.read_bytes()
    for other in (content[:-1], bytes(len(content))):
        store.unlink()
        store.write_bytes(other)
        again = TestStream(open_images(folder, manifest, "test"), side=40, batch_size=50).batch(0).images
        np.testing.assert_array_equal(again, before)
        assert store.read_bytes() == content


def test_images_that_do_not_match_their_manifest_are_not_decoded(stored: Stored, memory: Path, tmp_path: Path) -> None:
    folder, manifest = stored["jpg"]
    for split in manifest.splits.values():
        content, stored_at = bytearray((folder / split.file).read_bytes()), read_beton(folder / split.file)
        content[int(stored_at.starts[5] + stored_at.sizes[5] // np.uint64(2))] ^= 1
        (tmp_path / split.file).write_bytes(content)
    with pytest.raises(RaysweepError, match=r"train\.beton"):
        open_images(tmp_path, manifest, "train")
    assert not stores(memory)


def test_on_a_file_system_without_locks_the_file_is_used_all_the_same_and_removed_when_stale(
    stored: Stored, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="without locks"):
        assert not open_images(*stored["jpg"], "train").is_encoded
    close_files()
    (store,) = stores(memory)
    in_memory.remove_stale(memory)
    assert store.exists()  # it was used recently
    hour_ago = time.time() - in_memory.KEEP_S - 1
    os.utime(store, (hour_ago, hour_ago))
    in_memory.remove_stale(memory)
    assert not store.exists()


def test_memory_that_others_use_is_left_to_them(stored: Stored, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose limit is large, and nearly all of it in use: the pixels would bring in the OOM killer."""

    def no_folder() -> Path:
        raise OSError("no folder can be written")

    monkeypatch.setattr(in_memory, "cache_folder", no_folder)
    monkeypatch.setattr(in_memory, "usable_memory", lambda: Memory(2**36, 1000))
    assert open_images(*stored["jpg"], "train").is_encoded
    assert not stores(memory)
