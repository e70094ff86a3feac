"""Writing that is killed or stopped, or that runs out of disk space, and the same command again: the same bytes."""

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
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.data.beton import read_beton
from raysweep.data.manifest import read_manifest, verify
from raysweep.errors import RaysweepError
from raysweep.write import publishing
from raysweep.write import write_sets as writing
from raysweep.write.beton_writer import BetonWriter
from raysweep.write.sources import open_source
from raysweep.write.sources.generated import GeneratedSamples, GeneratedSource
from raysweep.write.staging import Staging, clear, staging_folder
from raysweep.write.write_sets import write_images, write_sets
from tests.disks import small_disk
from tests.images import Folder, picture
from tests.orchestrate.processes import let_ctrl_c_through

ROOT = Path(__file__).parents[2]
OPTIONS: dict[str, Any] = {"side": 20, "also": ["16"], "encoding": "mixed"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets as written by a call that is not interrupted."""
    folder = tmp_path_factory.mktemp("plain") / "out"
    write_sets(GeneratedSource(300, 50, side=20), folder, **OPTIONS)
    return folder


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHARD_IMAGES", 20)


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
    """A folder for which 120 images are encoded, in 6 shards."""
    folder = tmp_path_factory.mktemp("begun") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "SHARD_IMAGES", 20)
        stop_at(120, folder)
    return folder


def stop_at(images: int, folder: Path, **changes: Any) -> None:
    options = OPTIONS | {"progress": interrupted_at(images)} | changes
    with pytest.raises(KeyboardInterrupt):
        write_sets(GeneratedSource(300, 50, side=20), folder, **options)


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Path:
    """A copy of its staging folder, as that of `tmp_path / "out"`."""
    shutil.copytree(begun, tmp_path / "out")
    return tmp_path / "out" / ".writing"


def go_on(folder: Path, **changes: Any) -> list[int]:
    """Finish; returns the numbers of images done that were reported."""
    steps: list[int] = []
    options = OPTIONS | changes
    write_sets(GeneratedSource(300, 50, side=20), folder, progress=lambda done, _: steps.append(done), **options)
    return steps


def assert_same(folder: Path, plain: Path) -> None:
    """The same bytes and no other files."""
    names = {path.relative_to(folder) for path in folder.rglob("*")}
    assert names == {path.relative_to(plain) for path in plain.rglob("*")}
    for part in (folder, folder / "short16"):
        verify(part, read_manifest(part), full=True)
        (part / ".verified.json").unlink()
        assert read_manifest(part) == read_manifest(plain / part.relative_to(folder))


def test_an_interrupt_keeps_what_is_written(tmp_path: Path, plain: Path) -> None:
    said: list[str] = []
    stop_at(120, tmp_path / "out", say=said.append)
    assert f"120 of 350 images are kept in {tmp_path}/out/.writing" in said[-1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".writing"}
    with pytest.raises(RaysweepError, match="manifest.json"):
        read_manifest(tmp_path / "out")
    said.clear()
    steps = go_on(tmp_path / "out", say=said.append)
    assert "120 of 350" in said[0]
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
from raysweep.write import write_sets
from tests.write.test_resuming import OPTIONS, Slow, slow_down
write_sets.SHARD_IMAGES = 20
slow_down()
write_sets.write_sets(Slow(), Path(sys.argv[1]), workers=2, say=lambda text: print(text, file=sys.stderr), **OPTIONS)
"""


def slow_down() -> None:
    """Make each step after the encoding long enough to be killed in it."""

    def slow(do: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def slowly(*arguments: Any) -> Any:
            time.sleep(seconds)
            return do(*arguments)

        return slowly

    steps = ((BetonWriter, "put", 0.1), (publishing, "content_digest", 0.5), (publishing, "sync_file", 0.5))
    for owner, name, seconds in steps:
        setattr(owner, name, slow(getattr(owner, name), seconds))
    fast, slower = Path.replace, slow(Path.replace, 0.2)
    Path.replace = lambda path, target: (slower if path.suffix == ".beton" else fast)(path, target)  # type: ignore


class SlowSamples(GeneratedSamples):
    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        time.sleep(0.02)
        return super().picture(index)


class Slow(GeneratedSource):
    """The same pictures, 20 ms each."""

    def __init__(self) -> None:
        super().__init__(300, 50, side=20)
        self.splits = {split: SlowSamples(split, count, 20, 0) for split, count in (("train", 300), ("test", 50))}


def shards(folder: Path) -> int:
    return len(list((folder / ".writing/shards").glob("[!.]*.npz")))


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "first images": lambda folder: shards(folder) >= 3,
    "last images": lambda folder: shards(folder) >= 16,
    "assembling": lambda folder: len(list(folder.glob(".writing/sets/*/train.beton"))) == 2,
    "assembling the second split": lambda folder: len(list(folder.glob(".writing/sets/*/test.beton"))) == 2,
    "verifying": lambda folder: (folder / ".writing/sets/main/manifest.json").exists(),
    "publishing": lambda folder: (folder / "train.beton").exists(),
    "published the first set": lambda folder: (folder / "manifest.json").exists(),
}


def started(folder: Path, until: Callable[[Path], bool]) -> subprocess.Popen[str]:
    """A process group that writes and has reached a moment."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(folder)], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if until(folder):
            return process
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def kept(folder: Path) -> int:
    """Number of images that need not be encoded again."""
    staging = Staging.find(folder / ".writing")
    return staging.count if staging else 0


def kill_at(folder: Path, moment: str) -> None:
    process = started(folder, MOMENTS[moment])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(
    "moments", [pytest.param(list(MOMENTS), marks=pytest.mark.long), ["assembling"]], ids=["all in turn", "assembling"]
)
def test_after_kill_9_of_the_whole_group_the_same_command_finishes(
    tmp_path: Path, plain: Path, moments: list[str]
) -> None:
    for moment in moments:
        kill_at(tmp_path / "out", moment)
        assert kept(tmp_path / "out") >= {"first images": 60, "last images": 320}.get(moment, 350)
    go_on(tmp_path / "out")
    assert_same(tmp_path / "out", plain)


def test_ctrl_c_ends_the_command_and_its_workers_and_the_same_command_goes_on(
    class_folder: Folder, tmp_path: Path
) -> None:
    files = {f"{split}/{name}/0.png": picture() for split in ("train", "val") for name in ("cat", "dog")}
    root = class_folder(files | {"train/cat/0.png": picture(500, 500)})
    for k in range(1, 200):
        os.link(root / "train/cat/0.png", root / f"train/cat/{k}.png")
    words = [sys.executable, "-m", "raysweep", "data", "write", str(root), str(tmp_path / "out"), "--side", "32"]
    words += ["--also", "16,24-nearest", "--workers", "1", "--encoding", "jpg"]
    process = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=let_ctrl_c_through,
    )
    assert process.stderr
    first = process.stderr.readline()
    assert first.startswith("203 images"), first
    assert process.stderr.readline().startswith(f"writing {tmp_path / 'out'}  ")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "images are kept in" in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100)
    folders = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert folders == [str(tmp_path / "out" / name) for name in ("", "short16", "short24-nearest")]
    assert read_manifest(tmp_path / "out/short16").splits["train"].images == 201


def test_a_link_in_place_of_unfinished_work_is_refused(tmp_path: Path) -> None:
    """What is behind it would be removed."""
    victim, folder = tmp_path / "victim", tmp_path / "set"
    victim.mkdir()
    folder.mkdir()
    (victim / "precious").touch()
    (folder / ".writing").symlink_to(victim)
    with pytest.raises(RaysweepError, match=r"\.writing"):
        write_images(GeneratedSource(10, 10, side=36, seed=0), folder)
    assert [path.name for path in victim.iterdir()] == ["precious"]


def test_links_in_unfinished_work_are_not_followed(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "place"
    victim.mkdir()
    place.mkdir()
    (victim / "precious").touch()
    (place / "shards").symlink_to(victim)
    clear(place)
    assert (victim / "precious").exists()
    assert not list(place.iterdir())


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with staging_folder(tmp_path / "out"), pytest.raises(RaysweepError, match=rf"process {os.getpid()} on "):
        write_images(GeneratedSource(20, 10), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def first_shard(place: Path) -> Path:
    return min((place / "shards").glob("*.npz"))


DAMAGE: dict[str, tuple[Callable[[Path], object], int]] = {
    "unfinished file": (lambda place: (place / "shards/.train-00000300.npz.1-0.part").write_bytes(b"x"), 120),
    "shard cut short": (lambda place: os.truncate(first_shard(place), 3000), 100),
    "shard without an end": (lambda place: os.truncate(first_shard(place), first_shard(place).stat().st_size - 9), 100),
    "shard missing": (lambda place: first_shard(place).unlink(), 100),
    "shard empty": (lambda place: os.truncate(first_shard(place), 0), 100),
    "shard of something else": (lambda place: first_shard(place).write_bytes(b"x" * 5000), 100),
}
"""Damage to the files, and the number of images that are kept."""


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_shard_that_is_not_whole_is_encoded_again(place: Path, tmp_path: Path, plain: Path, damage: str) -> None:
    do, left = DAMAGE[damage]
    do(place)
    assert go_on(tmp_path / "out")[0] == left
    assert_same(tmp_path / "out", plain)


def overwrite(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_shard_with_a_changed_byte_is_an_error_and_then_encoded_again(
    place: Path, tmp_path: Path, plain: Path
) -> None:
    shard = first_shard(place)
    overwrite(shard, 9000)
    with pytest.raises(RaysweepError, match=shard.name):
        go_on(tmp_path / "out")
    assert go_on(tmp_path / "out")[0] == 330
    assert_same(tmp_path / "out", plain)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def assembled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files have only to be verified and moved."""
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_describe", interrupt)
        stop_at(10**9, tmp_path / "out", progress=None)
    return tmp_path / "out"


def test_a_crash_before_files_are_verified_is_made_good(assembled: Path, plain: Path) -> None:
    assert go_on(assembled) == [350]
    assert_same(assembled, plain)


def test_a_changed_byte_in_a_file_is_found_before_a_set_is_made_of_it(assembled: Path) -> None:
    beton = read_beton(assembled / ".writing/sets/main/train.beton")
    overwrite(beton.path, int(beton.starts[123]) + 5)
    with pytest.raises(RaysweepError, match=r"train.beton.* 123\b.*Remove .*/\.writing "):
        go_on(assembled)
    assert not (assembled / "manifest.json").exists()


@pytest.mark.parametrize(
    ("what", "calls"),
    [("put", 1), ("put", 35), ("discard", 1), ("discard", 18), ("finish", 1)],
)
def test_a_crash_while_files_are_assembled_is_made_good(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, what: str, calls: int
) -> None:
    owner: Any = Staging if what == "discard" else BetonWriter
    do, seen = getattr(owner, what), list[int]()

    def crash(*arguments: Any) -> None:
        do(*arguments)
        seen.append(1)
        if len(seen) == calls:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, what, crash)
        with pytest.raises(KeyboardInterrupt):
            go_on(tmp_path / "out")
    assert go_on(tmp_path / "out") == [350]
    assert_same(tmp_path / "out", plain)


@pytest.mark.parametrize("content", ["mine", "[]", "{}", '{"forms": 1}'])
def test_another_job_file_is_refused_or_replaced(place: Path, tmp_path: Path, plain: Path, content: str) -> None:
    (place / "job.json").write_text(content)
    with pytest.raises(RaysweepError, match=r"job.json(.|\n)*--overwrite"):
        go_on(tmp_path / "out")
    assert (place / "job.json").read_text() == content
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
    with pytest.raises(RaysweepError, match=rf"120 images(.|\n)*{words}"):
        go_on(tmp_path / "out", **changes)
    assert kept(tmp_path / "out") == 120


def test_other_options_replace_where_that_is_asked(place: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert go_on(tmp_path / "out", side=24, overwrite=True, say=said.append)[0] == 0
    assert "20 px" in said[0]
    assert read_manifest(tmp_path / "out").short_side == 24


def test_another_source_is_refused(place: Path, tmp_path: Path) -> None:
    other = GeneratedSource(310, 50, side=20)
    other.spec = GeneratedSource(300, 50, side=20).spec
    with pytest.raises(RaysweepError, match=r"train images: 300, names.* then, 310, names.* now"):
        write_sets(other, tmp_path / "out", **OPTIONS)


@pytest.mark.parametrize("module", ["pillow", "opencv-python-headless"])
def test_another_decoder_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == module else version(name))
    with pytest.raises(RaysweepError, match=f"{module}: .* then, 0.1 now"):
        go_on(tmp_path / "out")


@pytest.fixture(scope="module")
def all_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose sets have only to be moved to their folders."""
    folder = tmp_path_factory.mktemp("written") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "SHARD_IMAGES", 20)
        patched.setattr(publishing, "_put_in_place", interrupt)
        stop_at(10**9, folder, also=["16"], progress=None)
    return folder


@pytest.mark.parametrize("renames", range(6))
def test_a_crash_while_sets_are_moved_is_made_good(
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
        with pytest.raises(RaysweepError, match="short16"):
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


def test_bad_images_stay_skipped_once_files_are_assembled(class_folder: Folder, tmp_path: Path) -> None:
    """Their places in the files are taken by then."""
    files = {f"{split}/cat/{k}.png": picture(seed=k) for split in ("train", "val") for k in range(3)}
    root = class_folder(files | {"train/cat/bad.png": b"bad"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(publishing, "_describe", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_images(open_source(str(root)), tmp_path / "out", skip_bad=True)
    with pytest.raises(RaysweepError, match=r"train/cat/bad.png(.|\n)*--skip-bad"):
        write_images(open_source(str(root)), tmp_path / "out")
    manifest = write_images(open_source(str(root)), tmp_path / "out", skip_bad=True)
    assert manifest == write_images(open_source(str(root)), tmp_path / "plain", skip_bad=True)


@pytest.mark.parametrize(("size", "is_assembling"), [("256k", False), ("820k", True)])
def test_a_full_disk_leaves_what_fitted_and_goes_on_when_there_is_room(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, size: str, is_assembling: bool
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9))  # as if another program had filled it
    with small_disk(tmp_path / "disk", size) as disk:
        with pytest.raises(RaysweepError, match=r"No space left on device"):
            go_on(disk / "out", encoding="raw")
        images = kept(disk / "out")
        assert (images == 350) == is_assembling == (disk / "out/.writing/sets").exists()
        assert images >= 20
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        assert go_on(disk / "out", encoding="raw")[0] == images
        expected = write_sets(GeneratedSource(300, 50, side=20), tmp_path / "raw", **OPTIONS | {"encoding": "raw"})
        assert read_manifest(disk / "out") == expected[tmp_path / "raw"]


LIMITED = """
import resource, sys
from pathlib import Path
from raysweep.errors import RaysweepError
from raysweep.write import write_sets
from raysweep.write.sources.generated import GeneratedSource
from tests.write.test_resuming import OPTIONS
write_sets.SHARD_IMAGES = 20
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
try:
    write_sets.write_sets(GeneratedSource(300, 50, side=20), Path(sys.argv[1]), **OPTIONS)
except RaysweepError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # for what measures coverage
    sys.exit(str(error))
"""


def test_a_file_that_may_not_grow_is_an_error_from_which_it_goes_on(tmp_path: Path, plain: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    images = kept(tmp_path / "out")
    assert f"{images} of 350 images are kept" in done.stderr
    assert images >= 20
    assert go_on(tmp_path / "out")[0] == images
    assert_same(tmp_path / "out", plain)


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="without locks"), staging_folder(tmp_path / "new" / "out") as place:
        assert place.is_dir()
    assert not (tmp_path / "new" / "out").exists()
