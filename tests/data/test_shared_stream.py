from __future__ import annotations

import errno
import inspect
import os
import re
import signal
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.data import shared_stream
from raysweep.data.beton import read_beton
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import Manifest
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.randomness import subset, wrong_labels
from raysweep.data.shared_memory import UnavailableError
from raysweep.data.shared_stream import AHEAD, CHUNK, LEAST_SLOTS, SharedStream, is_worth_sharing, segment_name, share
from raysweep.data.stream import Batch, ImageStream, TestStream, TrainStream
from raysweep.errors import RaysweepError
from raysweep.process.machine import Memory
from tests.data.sharer import SIDE, Sharer, digest, num_users
from tests.disks import small_disk

Stored = dict[str, tuple[Path, Manifest]]
Counts = namedtuple("Counts", "made private waits")
Crew = Callable[[int], list[Sharer]]


@pytest.fixture
def file(stored: Stored) -> ImageFile:
    return ImageFile.open(*stored["jpg"], "train")


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


@pytest.fixture
def crew(stored: Stored, memory: Path) -> Iterator[Crew]:
    members: list[Sharer] = []

    def recruit(count: int) -> list[Sharer]:
        members.extend(Sharer(stored["jpg"][0], memory) for _ in range(count))
        return members[-count:]

    yield recruit
    for member in members:
        member.end()


def unshared(file: ImageFile, **changes: Any) -> TrainStream:
    return TrainStream(file, **({"side": SIDE, "batch_size": 16, "seed": 5} | changes))


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("images", "labels", "indices"))


def agree(sharing: SharedStream, private: ImageStream, numbers: range) -> bool:
    return all(same(sharing.batch(number), private.batch(number)) for number in numbers)


def counts(stream: SharedStream) -> Counts:
    return Counts(stream.num_made, stream.num_private, stream.num_waits)


def batches_of(chunks: range) -> range:
    """The batches of 16 that make up these chunks."""
    return range(chunks.start * CHUNK // 16, chunks.stop * CHUNK // 16)


# Real processes.


def test_eight_trials_read_what_a_private_stream_reads_and_decode_it_once(file: ImageFile, crew: Crew) -> None:
    chunks, trials = 6, crew(8)
    expected = [digest(unshared(file).batch(number)) for number in batches_of(range(chunks))]
    for trial in trials:
        trial.send("open", 5, 16)
    assert [trial.answer() for trial in trials] == [None] * 8  # all have begun before any has finished
    for trial in trials:
        trial.send("read", 0, len(expected))
    assert [trial.answer() == expected for trial in trials] == [True] * 8
    found = [Counts(*trial.ask("counts")) for trial in trials]
    assert chunks <= sum(count.made for count in found) <= chunks + AHEAD
    assert sum(count.private for count in found) == 0


def test_trials_of_two_seeds_and_batch_sizes_at_once(file: ImageFile, crew: Crew, memory: Path) -> None:
    trials, setups = crew(4), [(5, 16), (6, 16), (5, 10), (6, 10)]
    for trial, setup in zip(trials, setups, strict=True):
        trial.ask("open", *setup)
    assert len(list(memory.iterdir())) == 2
    for trial in trials:
        trial.send("read", 0, 20)
    for trial, (seed, size) in zip(trials, setups, strict=True):
        private = unshared(file, seed=seed, batch_size=size)
        assert trial.answer() == [digest(private.batch(number)) for number in range(20)]
    trials[0].ask("close")
    trials[2].ask("close")
    assert len(list(memory.iterdir())) == 1
    assert trials[1].ask("read", 20, 22) == [digest(unshared(file, seed=6).batch(number)) for number in (20, 21)]


def test_a_trial_killed_in_the_middle_of_decoding_is_replaced(file: ImageFile, crew: Crew, memory: Path) -> None:
    (victim,) = crew(1)
    victim.ask("open", 5, 16)
    sharing = SharedStream(unshared(file), memory)
    assert agree(sharing, unshared(file), batches_of(range(1)))
    assert victim.ask("claim", 1) == "YOURS"
    assert num_users(sharing._cache) == 2
    victim.kill()
    assert agree(sharing, unshared(file), batches_of(range(1, 12)))
    assert counts(sharing).private == 0
    assert counts(sharing).made == 12
    assert num_users(sharing._cache) == 1


def test_a_suspended_trial_does_not_stop_the_others(file: ImageFile, crew: Crew, memory: Path) -> None:
    (sleeper,) = crew(1)
    sleeper.ask("open", 5, 16)
    assert sleeper.ask("claim", 1) == "YOURS"
    sleeper.send_signal(signal.SIGSTOP)
    sharing = SharedStream(unshared(file), memory)
    assert agree(sharing, unshared(file), batches_of(range(3)))
    assert counts(sharing).private == 0
    assert counts(sharing).waits > 0
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.ask("read", 0, 16) == [digest(unshared(file).batch(number)) for number in range(16)]


def test_the_memory_of_dead_trials_is_removed_by_the_next_one(crew: Crew, memory: Path, file: ImageFile) -> None:
    first, second = crew(2)
    first.ask("open", 5, 16)
    second.ask("open", 5, 16)
    first.kill()
    second.kill()
    (left,) = memory.iterdir()
    other = SharedStream(unshared(file, seed=6), memory)
    assert left not in memory.iterdir()
    other.close()
    assert not list(memory.iterdir())


# Trials that share.


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 7},
        {"batch_size": 300},
        {"threads": 2},
        {"labels": "noisy"},
        *({"preprocess": PREPROCESSINGS[name]} for name in ("rgb", "gray", "hsv", "ycrcb", "lab")),
    ],
)
def test_trials_that_differ_in_what_comes_after_decoding_share(
    file: ImageFile, memory: Path, changes: dict[str, Any]
) -> None:
    if "labels" in changes:
        changes = {"labels": wrong_labels(file.labels, 0.5, 10, seed=1)}
    first = SharedStream(unshared(file), memory)
    assert agree(first, unshared(file), batches_of(range(8)))
    private = unshared(file, **changes)
    second = SharedStream(private, memory)
    assert agree(second, unshared(file, **changes), range(8 * CHUNK // private.batch_size))
    assert counts(second).made + counts(second).private == 0


DECIDES: dict[str, Any] = {
    "side": 30,
    "seed": 6,
    "mirror": False,
    "pad": 1,
    "indices": np.arange(100),
    "scales": (1.0, 0.9),
    "rotation": 3.0,
    "preprocess": PREPROCESSINGS["clahe"],
}


def test_every_parameter_is_known_to_decide_the_pixels_or_not(file: ImageFile, stored: Stored) -> None:
    functions = (ImageStream.__init__, TrainStream.__init__)
    parameters = {name for do in functions for name in inspect.signature(do).parameters} - {"self", "file", "options"}
    assert parameters == DECIDES.keys() | {"batch_size", "labels", "threads"}
    names = {segment_name(unshared(file, **{name: value})) for name, value in DECIDES.items()}
    other_file = ImageFile.open(*stored["raw"], "train")
    names |= {segment_name(unshared(file)), segment_name(unshared(other_file))}
    names |= {segment_name(unshared(file, preprocess=PREPROCESSINGS[name])) for name in ("histeq", "local_mean")}
    assert len(names) == len(DECIDES) + 4
    assert all(name.startswith(f"raysweep-{os.geteuid()}-") for name in names)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": "half"},
        {"scales": (1.0, 0.8, 1.3), "rotation": 5.0, "pad": 4},
        *({"preprocess": PREPROCESSINGS[name]} for name in ("clahe", "histeq", "local_mean")),
    ],
)
def test_trials_with_the_same_subset_or_costly_operation_share(
    file: ImageFile, memory: Path, changes: dict[str, Any]
) -> None:
    if "indices" in changes:
        changes = {"indices": subset(file.labels, 0.5, 0)}
    first, second = (SharedStream(unshared(file, **changes), memory) for _ in range(2))
    for sharing in (first, second):
        assert agree(sharing, unshared(file, **changes), batches_of(range(3)))
    assert counts(first)[:2] == (3, 0)
    assert counts(second)[:2] == (0, 0)


def test_two_copies_of_a_set_are_not_shared(stored: Stored, tmp_path: Path, file: ImageFile) -> None:
    folder, manifest = stored["jpg"]
    name = manifest.splits["train"].file
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert segment_name(unshared(ImageFile.open(tmp_path, manifest, "train"))) != segment_name(unshared(file))


def test_only_images_that_cost_more_than_a_copy_are_shared(stored: Stored, file: ImageFile) -> None:
    raw = ImageFile.open(*stored["raw"], "train")
    assert is_worth_sharing(unshared(file))
    assert not is_worth_sharing(unshared(raw))
    assert not is_worth_sharing(unshared(raw, preprocess=PREPROCESSINGS["lab"], pad=2))
    for changes in ({"scales": (1.0, 0.8)}, {"rotation": 2.0}, {"preprocess": PREPROCESSINGS["clahe"]}):
        assert is_worth_sharing(unshared(raw, **changes))
    test = ImageFile.open(*stored["raw"], "test")
    assert not is_worth_sharing(TestStream(test, side=32, batch_size=8))
    assert is_worth_sharing(TestStream(test, side=32, batch_size=8, scale=0.9))


@pytest.mark.parametrize("rows", [slice(5, 11), slice(0, 16, 3), slice(None), slice(8, None)])
def test_rows_are_rows_of_the_whole_batch(file: ImageFile, memory: Path, rows: slice) -> None:
    sharing = SharedStream(unshared(file, batch_size=150), memory)
    for number in range(4):
        assert same(sharing.batch(number, rows=rows), unshared(file, batch_size=150).batch(number, rows=rows))
    assert counts(sharing).private == 0


def test_test_images_are_decoded_once_for_all_trials_and_epochs(stored: Stored, memory: Path) -> None:
    file = ImageFile.open(*stored["jpg"], "test")
    private = TestStream(file, side=32, batch_size=16, scale=0.9)
    trials = [SharedStream(TestStream(file, side=32, batch_size=16, scale=0.9), memory) for _ in range(2)]
    for sharing in trials:
        for _ in range(2):
            assert agree(sharing, private, range(len(private)))
        with pytest.raises(IndexError):
            sharing.batch(4)
    assert [counts(sharing).made for sharing in trials] == [1, 0]


# Trials at different positions.


def test_no_trial_waits_for_a_slow_one(file: ImageFile, memory: Path) -> None:
    fast, slow = (SharedStream(unshared(file), memory) for _ in range(2))
    assert agree(slow, unshared(file), range(1))
    window = fast.window // CHUNK
    assert window == LEAST_SLOTS
    length = 3 * window
    for number in batches_of(range(length)):
        fast.batch(number)
    assert counts(fast) == (length - 1, 0, 0)
    assert agree(slow, unshared(file), batches_of(range(length)))
    assert counts(slow)[1:] == (0, 0)
    assert counts(slow).made <= length - (window - 2)  # the chunks that it would need soonest were kept
    assert agree(fast, unshared(file), batches_of(range(length, length + 4)))
    assert counts(fast) == (length + 3, 0, 0)


def test_late_trials_share_with_each_other_and_take_no_room_from_the_others(file: ImageFile, memory: Path) -> None:
    early, follower = (SharedStream(unshared(file), memory) for _ in range(2))
    start, lag, steps = 40, 8, 30
    for step in range(-lag, start):
        for number in batches_of(range(step + lag, step + lag + 1)):
            early.batch(number)
        for number in batches_of(range(max(0, step), step + 1)):
            follower.batch(number)
    late = [SharedStream(unshared(file), memory) for _ in range(2)]
    before = counts(follower)
    for step in range(steps):
        for number in batches_of(range(start + lag + step, start + lag + step + 1)):
            early.batch(number)
        for number in batches_of(range(start + step, start + step + 1)):
            follower.batch(number)
        for sharing in late:
            assert agree(sharing, unshared(file), batches_of(range(step, step + 1)))
    assert counts(follower) == before
    assert counts(early).made == start + lag + steps
    assert [counts(sharing).made for sharing in late] == [steps, 0]
    assert sum(sum(counts(sharing)[1:]) for sharing in (early, follower, *late)) == 0


# Failures.


def test_a_damaged_image_fails_every_trial_that_reaches_it_and_no_other(
    stored: Stored, tmp_path: Path, memory: Path
) -> None:
    folder, manifest = stored["jpg"]
    split = manifest.splits["train"]
    data, beton = bytearray((folder / split.file).read_bytes()), read_beton(folder / split.file)
    data[int(beton.starts[17]) : int(beton.starts[17]) + 40] = bytes(40)
    (tmp_path / split.file).write_bytes(data)
    damaged, whole = (ImageFile.open(place, manifest, "train") for place in (tmp_path, folder))
    private = unshared(whole)
    trials = [SharedStream(unshared(damaged), memory) for _ in range(2)]
    has_it = {number: 17 in private.batch(number).indices for number in range(24)}
    assert 1 < sum(has_it.values()) < 12
    for number, bad in has_it.items():
        for sharing in trials:
            if bad:
                with pytest.raises(RaysweepError, match=r"\bimage 17\b"):
                    sharing.batch(number)
            else:
                assert same(sharing.batch(number), private.batch(number))
    assert sum(counts(sharing).waits for sharing in trials) == 0
    _, slot = trials[0]._cache.request([0])
    assert slot
    assert slot.answer.name == "YOURS"  # no claim was left


@pytest.fixture
def _not_warned() -> Iterator[None]:
    shared_stream._warned.clear()
    yield
    shared_stream._warned.clear()


@pytest.mark.usefixtures("_not_warned")
def test_too_little_memory_is_warned_of_once_and_each_trial_decodes_separately(
    file: ImageFile, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_stream, "MEMORY", memory)
    status = os.statvfs(memory)
    small = namedtuple("small", "f_bavail f_frsize")(2, 2**20)
    monkeypatch.setattr(os, "statvfs", lambda path: small)
    stream = unshared(file)
    with pytest.warns(RuntimeWarning, match=r"6 MiB.* 2 MiB"):
        assert share(stream) is stream
    assert share(stream) is stream
    assert not list(memory.iterdir())
    monkeypatch.setattr(os, "statvfs", lambda path: status)
    with monkeypatch.context() as container:
        container.setattr(shared_stream, "usable_memory", lambda: Memory(2**36, 2**21))
        assert share(stream) is stream
    assert isinstance(share(stream), SharedStream)


@pytest.fixture
def tiny_memory(tmp_path: Path) -> Iterator[Path]:
    """Real memory of 4 MiB, if this process is allowed to mount it."""
    with small_disk(tmp_path / "tiny", "4m") as folder:
        yield folder


def test_nothing_is_left_in_memory_that_is_too_small(
    file: ImageFile, tiny_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError, match=r"6 MiB.* 4 MiB"):
        SharedStream(unshared(file), tiny_memory)
    # As if another process had taken the memory since.
    monkeypatch.setattr(os, "statvfs", lambda path: namedtuple("large", "f_bavail f_frsize")(2**20, 4096))
    with pytest.raises(UnavailableError, match=re.escape(os.strerror(errno.ENOSPC))):
        SharedStream(unshared(file), tiny_memory)
    assert not list(tiny_memory.iterdir())


def test_memory_is_bounded(file: ImageFile, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stream, "CHUNK", 8)
    chunk_bytes = 8 * (SIDE * SIDE * 3 + 8)
    for seed, (most_slots, slots) in enumerate([(18, 18), (1000, 120 // 8 + AHEAD)]):  # an epoch's and those ahead
        sharing = SharedStream(unshared(file, seed=seed), memory, most_bytes=most_slots * chunk_bytes)
        assert sharing.window == slots * 8
        (path,) = memory.iterdir()
        assert slots * chunk_bytes < path.stat().st_blocks * 512 < slots * chunk_bytes + 32 * 1024
        assert path.stat().st_mode & 0o777 == 0o600
        sharing.close()


def test_chunks_of_large_images_are_short(file: ImageFile, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stream, "CHUNK_BYTES", 20 * SIDE * SIDE * 3)
    sharing = SharedStream(unshared(file), memory)
    assert sharing.window == LEAST_SLOTS * 16
    assert agree(sharing, unshared(file), range(6))
    assert counts(sharing).made == 6


def test_a_closed_stream_decodes_privately(file: ImageFile, memory: Path) -> None:
    sharing = SharedStream(unshared(file), memory)
    sharing.batch(0)
    sharing.close()
    assert not list(memory.iterdir())
    assert agree(sharing, unshared(file), batches_of(range(1, 3)))
    assert counts(sharing) == (1, 2 * CHUNK // 16, 0)
    sharing.close()
