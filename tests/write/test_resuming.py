"""Writing that is killed, stopped, runs out of disk or finds something else than it left, and goes on all the same."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.data.manifest import read_manifest, verify
from raysweep.errors import RaysweepError
from raysweep.write import publishing, staging
from raysweep.write import write_sets as writing
from raysweep.write.folder_lock import locked
from raysweep.write.sources.generated import GeneratedSamples, GeneratedSource
from raysweep.write.write_sets import write_images, write_sets
from tests.disks import small_disk
from tests.images import Folder, encoded, picture

ROOT = Path(__file__).parents[2]
OPTIONS: dict[str, Any] = {"side": 20, "also": ["16"], "encoding": "mixed"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets as a call that nothing interrupts writes them."""
    folder = tmp_path_factory.mktemp("plain") / "out"
    write_sets(GeneratedSource(300, 50, side=20), folder, **OPTIONS)
    return folder


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNK", 20)


def interrupted_at(images: int, done: list[int] | None = None) -> Callable[[int, int], None]:
    """A progress that interrupts like Ctrl-C."""

    def progress(count: int, total: int) -> None:
        if done is not None:
            done.append(count)
        if count >= images:
            raise KeyboardInterrupt

    return progress


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of which 120 images are written, in batches of 20."""
    folder = tmp_path_factory.mktemp("begun") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "CHUNK", 20)
        stop_at(120, folder)
    return folder


def stop_at(images: int, folder: Path, **changes: Any) -> None:
    options = OPTIONS | {"progress": interrupted_at(images)} | changes
    with pytest.raises(KeyboardInterrupt):
        write_sets(GeneratedSource(300, 50, side=20), folder, **options)


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Path:
    """Its staging folder, for this test alone, of `tmp_path / "out"`."""
    shutil.copytree(begun, tmp_path / "out")
    return tmp_path / "out" / ".writing"


def go_on(folder: Path, **changes: Any) -> list[int]:
    """Finish; returns the steps."""
    steps: list[int] = []
    options = OPTIONS | changes
    write_sets(GeneratedSource(300, 50, side=20), folder, progress=lambda done, _: steps.append(done), **options)
    return steps


def assert_same(folder: Path, plain: Path) -> None:
    """Down to the bytes, with nothing left over."""
    names = {path.relative_to(folder) for path in folder.rglob("*")}
    assert names == {path.relative_to(plain) for path in plain.rglob("*")}
    for part in (folder, folder / "short16"):
        verify(part, read_manifest(part), full=True)
        (part / ".verified.json").unlink()
        assert read_manifest(part) == read_manifest(plain / part.relative_to(folder))


def test_an_interrupt_keeps_what_is_written(tmp_path: Path, plain: Path) -> None:
    said: list[str] = []
    stop_at(120, tmp_path / "out", say=said.append)
    assert said[-1] == f"stopped; 120 of 350 images are kept in {tmp_path}/out/.writing. The same command goes on."
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".writing"}
    with pytest.raises(RaysweepError, match="no finished image set: give the command again"):
        read_manifest(tmp_path / "out")
    said.clear()
    steps = go_on(tmp_path / "out", say=said.append)
    assert said[0] == f"going on: 120 of 350 images are in {tmp_path}/out/.writing"
    assert said[1].startswith("230 images, about ")
    assert steps[0] == 120
    assert_same(tmp_path / "out", plain)


def test_it_may_be_stopped_again_and_again(tmp_path: Path, plain: Path) -> None:
    for images in (20, 350):
        stop_at(images, tmp_path / "out")
    assert go_on(tmp_path / "out")[0] == 350
    assert_same(tmp_path / "out", plain)


SLOWLY = """
import sys
from pathlib import Path
from raysweep.write import staging, write_sets
from tests.write.test_resuming import OPTIONS, Slow
write_sets.CHUNK, staging.CHECKPOINT_S = 20, 0.2
write_sets.write_sets(Slow(), Path(sys.argv[1]), workers=2, say=lambda text: print(text, file=sys.stderr), **OPTIONS)
"""


class SlowSamples(GeneratedSamples):
    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        time.sleep(0.02)
        return super().picture(index)


class Slow(GeneratedSource):
    """The same pictures, 20 ms each."""

    def __init__(self) -> None:
        super().__init__(300, 50, side=20)
        self.splits = {split: SlowSamples(split, count, 20, 0) for split, count in (("train", 300), ("test", 50))}


def started(folder: Path) -> subprocess.Popen[str]:
    """A process group that writes, some way in."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(folder)],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / ".writing/journal").exists() and journalled(folder) >= 60:
            return process
        time.sleep(0.02)
    raise AssertionError(process.communicate())


def journalled(folder: Path) -> int:
    """Images that a process going on would not read again."""
    left = staging.find_left(folder / ".writing")
    return left.count if left else 0


def test_after_kill_9_of_the_whole_group_the_rest_is_written(tmp_path: Path, plain: Path) -> None:
    process = started(tmp_path / "out")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = journalled(tmp_path / "out")
    assert 60 <= kept < 350
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".writing"}
    assert go_on(tmp_path / "out")[0] == kept
    assert_same(tmp_path / "out", plain)


def test_ctrl_c_ends_the_command_and_its_workers_and_the_same_command_goes_on(
    class_folder: Folder, tmp_path: Path
) -> None:
    root = class_folder({"train/cat/0.png": encoded(picture(500, 500)), "val/cat/0.png": picture()})
    for k in range(1, 200):
        os.link(root / "train/cat/0.png", root / f"train/cat/{k}.png")
    words = [sys.executable, "-m", "raysweep", "data", "write", str(root), str(tmp_path / "out"), "--side", "32"]
    words += ["--also", "16,24-nearest", "--workers", "1", "--encoding", "jpg"]
    process = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr
    first = process.stderr.readline()
    assert first.startswith("201 images, about 0.00 GB and "), first
    assert process.stderr.readline().startswith(f"writing {tmp_path / 'out'}  ")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on." in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100)
    folders = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert folders == [str(tmp_path / "out" / name) for name in ("", "short16", "short24-nearest")]
    assert read_manifest(tmp_path / "out/short16").splits["train"].images == 200


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(RaysweepError, match=rf"another process \(process {os.getpid()} on "):
        write_images(GeneratedSource(20, 10), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def tear(place: Path) -> None:
    append(place / "journal", b"\1\0\0")
    append(place / "main/train.beton", b"x" * 5000)


DAMAGE: dict[str, tuple[Callable[[Path], None], int]] = {
    "torn ends": (tear, 120),
    "file cut short": (lambda place: os.truncate(place / "short16/train.beton", end_of(place) - 3000), 100),
    "file missing": (lambda place: (place / "main/train.beton").unlink(), 0),
    "end overwritten": (lambda place: overwrite(place / "main/train.beton", -50), 100),
}
"""What happens to the files, and how many images are good after it."""


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def overwrite(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def end_of(place: Path) -> int:
    return (place / "short16/train.beton").stat().st_size


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_end_is_cut_off_and_written_again(place: Path, tmp_path: Path, plain: Path, damage: str) -> None:
    do, left = DAMAGE[damage]
    do(place)
    assert go_on(tmp_path / "out")[0] == left
    assert_same(tmp_path / "out", plain)


def test_a_damaged_end_is_found_in_the_file_of_a_split_that_was_through(tmp_path: Path, plain: Path) -> None:
    stop_at(340, tmp_path / "out")
    os.truncate(tmp_path / "out/.writing/main/train.beton", 100_000)
    assert 20 <= go_on(tmp_path / "out")[0] <= 280
    assert_same(tmp_path / "out", plain)


def test_damage_in_the_middle_is_found_before_a_set_is_made_of_it(place: Path, tmp_path: Path) -> None:
    overwrite(place / "main/train.beton", end_of(place) // 2)
    with pytest.raises(RaysweepError, match="does not hold what was written to it, first at image"):
        go_on(tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_foreign_journal_is_refused_or_replaced(place: Path, tmp_path: Path, plain: Path) -> None:
    (place / "journal").write_text("mine")
    with pytest.raises(RaysweepError, match=r"journal is damaged or was not written by this raysweep.*--overwrite"):
        go_on(tmp_path / "out")
    assert (place / "journal").read_text() == "mine"
    go_on(tmp_path / "out", overwrite=True)
    assert_same(tmp_path / "out", plain)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 24}, "the folder itself: 20 px.* then, 24 px"),
        ({"quality": 80}, "quality 90.* then, .*quality 80.* now"),
        ({"also": ["16", "12"]}, "short12: not written then, 12 px"),
        ({"also": []}, "short16: 16 px.* then, not written now"),
        ({"raw_share": 0.3}, "raw share 0.5 then, .*raw share 0.3 now"),
    ],
)
def test_other_options_are_refused_with_both_values(
    place: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RaysweepError, match=rf"holds 120 images that were written for something else:(.|\n)*{words}"):
        go_on(tmp_path / "out", **changes)
    assert journalled(tmp_path / "out") == 120


def test_other_options_replace_where_that_is_asked(place: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert go_on(tmp_path / "out", side=24, overwrite=True, say=said.append)[0] == 0
    assert "Beginning again." in said[0]
    assert read_manifest(tmp_path / "out").short_side == 24


def test_another_source_is_refused(place: Path, tmp_path: Path) -> None:
    other = GeneratedSource(310, 50, side=20)
    other.spec = GeneratedSource(300, 50, side=20).spec
    with pytest.raises(RaysweepError, match=r"train images: 300 then, 310 now(.|\n)*names and labels of train images"):
        write_sets(other, tmp_path / "out", **OPTIONS)


def test_pictures_that_have_changed_are_noticed(place: Path, tmp_path: Path, plain: Path) -> None:
    other = GeneratedSource(300, 50, side=20)
    other.splits = {split: Redrawn(split, len(part), 20, 0) for split, part in other.splits.items()}
    with pytest.raises(
        RaysweepError, match="generated train image .* is another picture than the one that was written"
    ):
        write_sets(other, tmp_path / "out", **OPTIONS)
    said: list[str] = []
    sets = write_sets(other, tmp_path / "out", overwrite=True, say=said.append, **OPTIONS)
    assert "has changed. Beginning again." in said[0]
    assert sets[tmp_path / "out"].digest != read_manifest(plain).digest


class Redrawn(GeneratedSamples):
    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return 255 - super().picture(index)


@pytest.mark.parametrize("module", ["pillow", "opencv-python-headless"])
def test_another_decoder_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == module else version(name))
    with pytest.raises(RaysweepError, match=f"{module}: .* then, 0.1 now"):
        go_on(tmp_path / "out")


@pytest.fixture(scope="module")
def all_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose sets have only to be put in their place."""
    folder = tmp_path_factory.mktemp("written") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(publishing, "_put_in_place", lambda *_: exec("raise KeyboardInterrupt"))
        stop_at(10**9, folder, also=["16"], progress=None)
    return folder


@pytest.mark.parametrize("renames", range(6))
def test_a_crash_while_sets_are_put_in_place_is_made_good(
    all_written: Path, tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    shutil.copytree(all_written, tmp_path / "out")
    replace, calls = Path.replace, list[Path]()

    def crash(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) > renames:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            go_on(tmp_path / "out")
    assert go_on(tmp_path / "out") == []
    assert_same(tmp_path / "out", plain)


def test_a_crash_while_tables_are_written_is_made_good(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_describe", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            go_on(tmp_path / "out")
    assert go_on(tmp_path / "out") == [350]
    assert_same(tmp_path / "out", plain)


def test_a_set_that_appears_meanwhile_is_not_overwritten(place: Path, tmp_path: Path) -> None:
    other = write_images(GeneratedSource(40, 10, side=24), tmp_path / "other")
    shutil.copytree(tmp_path / "other", tmp_path / "out/short16")
    with pytest.raises(RaysweepError, match="short16"):
        go_on(tmp_path / "out")
    assert read_manifest(tmp_path / "out/short16") == other


def test_a_set_that_appears_before_ours_is_put_in_place_is_not_overwritten_either(
    all_written: Path, tmp_path: Path, plain: Path
) -> None:
    shutil.copytree(all_written, tmp_path / "out")
    other = write_images(GeneratedSource(40, 10, side=24), tmp_path / "out/short16")
    for _ in range(2):
        with pytest.raises(RaysweepError, match="short16 has been written by another process meanwhile"):
            go_on(tmp_path / "out")
        assert read_manifest(tmp_path / "out/short16") == other
    assert go_on(tmp_path / "out", overwrite=True) == []
    assert_same(tmp_path / "out", plain)


def test_the_old_set_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    old = write_images(GeneratedSource(40, 10, side=24), tmp_path / "out")
    stop_at(120, tmp_path / "out", overwrite=True)
    verify(tmp_path / "out", read_manifest(tmp_path / "out"), full=True)
    assert read_manifest(tmp_path / "out") == old
    go_on(tmp_path / "out", overwrite=True)
    assert read_manifest(tmp_path / "out").digest != old.digest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        yield disk


def test_a_full_disk_leaves_what_fitted_and_goes_on_when_there_is_room(
    disk: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9))  # as if it were another's files that filled it
    with pytest.raises(RaysweepError, match=r"cannot be written to: No space left on device.*the same command"):
        go_on(disk / "out", encoding="raw")
    kept = journalled(disk / "out")
    assert kept >= 20
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    assert go_on(disk / "out", encoding="raw")[0] == kept
    expected = write_sets(GeneratedSource(300, 50, side=20), plain.parent / "raw", **OPTIONS | {"encoding": "raw"})
    assert read_manifest(disk / "out") == expected[plain.parent / "raw"]


LIMITED = """
import resource, sys
from pathlib import Path
from raysweep.write import write_sets
from raysweep.errors import RaysweepError
from raysweep.write.sources.generated import GeneratedSource
from tests.write.test_resuming import OPTIONS
write_sets.CHUNK = 20
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_sets.write_sets(GeneratedSource(300, 50, side=20), Path(sys.argv[1]), **OPTIONS)
except RaysweepError as error:
    sys.exit(str(error))
"""


def test_a_file_that_may_not_grow_is_an_error_from_which_it_goes_on(tmp_path: Path, plain: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert "File too large" in done.stderr
    assert "the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    kept = journalled(tmp_path / "out")
    assert f"{kept} of 350 images are kept" in done.stderr
    assert kept >= 20
    assert go_on(tmp_path / "out")[0] == kept
    assert_same(tmp_path / "out", plain)


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "new" / "out") as place:
        assert place.is_dir()
    assert not (tmp_path / "new").exists()


def test_a_lock_that_was_removed_while_it_was_waited_for_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, calls = fcntl.flock, list[int]()

    def slow(file: int, how: int) -> None:
        calls.append(file)
        if len(calls) == 1:  # its owner has just finished
            shutil.rmtree(tmp_path / "out" / ".writing")
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with locked(tmp_path / "out") as place:
        assert (place / "lock").read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(RaysweepError, match="another process"), locked(tmp_path / "out"):
            raise AssertionError
    assert len(calls) == 3
