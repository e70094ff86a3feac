from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from raysweep.data import chunk_cache, shared_memory
from raysweep.data.chunk_cache import Answer, ChunkCache, Slot
from raysweep.data.shared_memory import HEADER, USERS_END, UnavailableError, is_running, start_time
from tests.data.sharer import num_users

BYTES = 4096
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raysweep-0-cache"


def cache(path: Path, slots: int = 4, **options: float) -> ChunkCache:
    return ChunkCache(path, BYTES, slots, **options)


def wish(user: ChunkCache, chunk: int) -> Slot:
    """Request one chunk; returns its slot."""
    ready, missing = user.request([chunk])
    slot = missing or ready[0]
    assert slot.chunk == chunk
    return slot


def make(user: ChunkCache, slot: Slot) -> None:
    assert slot.answer is Answer.YOURS
    user.memory(slot)[:] = slot.chunk % 251
    user.publish(slot)


def read(user: ChunkCache, chunk: int) -> Answer:
    """Get a chunk as a stream does, and check it; returns the first answer."""
    slot = wish(user, chunk)
    if slot.answer is Answer.YOURS:
        make(user, slot)
        assert wish(user, chunk).answer is Answer.READY
    elif slot.answer is Answer.READY:
        assert (user.memory(slot) == chunk % 251).all()
    return slot.answer


def test_a_chunk_that_one_user_made_is_ready_for_another(path: Path) -> None:
    first, second = cache(path), cache(path)
    make(first, wish(first, 7))
    slots = wish(first, 7), wish(second, 7)
    assert [slot.answer for slot in slots] == [Answer.READY] * 2
    assert (second.memory(slots[1]) == 7).all()
    assert second.still_held(slots) == list(slots)


def test_several_chunks_are_requested_at_once(path: Path) -> None:
    first, second = cache(path), cache(path)
    for chunk in (1, 3):
        make(first, wish(first, chunk))
    ready, missing = second.request([1, 2, 3, 4])
    assert sorted(slot.chunk for slot in ready) == [1, 3]
    assert missing
    assert (missing.chunk, missing.answer) == (2, Answer.YOURS)


def test_a_chunk_is_made_by_one_user(path: Path) -> None:
    first, second = cache(path), cache(path)
    claim = wish(first, 7)
    assert wish(second, 7).answer is Answer.BUSY
    ahead = second.claim_ahead([7, 8, 9])
    assert ahead
    assert ahead.chunk == 8
    other = first.claim_ahead([8, 9])
    assert other
    assert other.chunk == 9
    assert first.claim_ahead([7, 8, 9]) is None
    first.release(claim)
    assert wish(second, 7).answer is Answer.YOURS


def test_a_copy_from_a_reused_slot_is_invalid(path: Path) -> None:
    first, second = cache(path, 1), cache(path, 1)
    make(first, wish(first, 0))
    found = wish(second, 0)
    assert second.still_held([found]) == [found]
    assert wish(second, 1).answer is Answer.FULL  # the first user still needs chunk 0
    assert wish(first, 1).answer is Answer.YOURS
    assert second.still_held([found]) == []


def test_chunks_that_are_needed_soonest_stay(path: Path) -> None:
    leader, follower = cache(path), cache(path)
    read(follower, 0)
    for chunk in range(10):
        read(leader, chunk)
    assert [read(follower, chunk) for chunk in range(3)] == [Answer.READY] * 3  # the fourth slot was the leader's
    assert read(leader, 9) is Answer.READY


def test_no_chunk_is_dropped_for_one_that_is_needed_later(path: Path) -> None:
    users = [cache(path, 2) for _ in range(3)]
    assert [read(users[0], 10), read(users[1], 20)] == [Answer.YOURS] * 2
    assert wish(users[2], 30).answer is Answer.FULL
    assert users[0].claim_ahead([11]) is None
    users[1].close()
    assert read(users[2], 30) is Answer.YOURS


def test_a_user_that_left_keeps_no_chunks(path: Path) -> None:
    leader, follower = cache(path), cache(path)
    read(follower, 0)
    assert num_users(leader) == 2
    follower.close()
    assert num_users(leader) == 1
    for chunk in range(10):
        read(leader, chunk)
    newcomer = cache(path)
    assert [wish(newcomer, chunk).answer for chunk in (6, 7, 8, 9)] == [Answer.READY] * 4


def test_users_do_not_wait_for_an_overdue_claim(path: Path) -> None:
    slow, other = cache(path), cache(path, overdue_s=0.0)
    claim = wish(slow, 3)
    make(other, wish(other, 3))
    make(slow, claim)  # late, but harmless
    for user in (slow, other):
        assert read(user, 3) is Answer.READY


def test_unusable_files_of_the_same_name_are_replaced(path: Path) -> None:
    whole = cache(path)
    read(whole, 1)
    content = path.read_bytes()
    version = HEADER.fields["version"][1]  # type: ignore[index]
    cut, older = content[:5000], content[:version] + b"\x63" + content[version + 1 :]
    for stale in (b"", b"something else", cut, older, bytes(len(content))):
        path.unlink(missing_ok=True)
        path.write_bytes(stale)
        assert read(cache(path), 1) is Answer.YOURS
    larger = ChunkCache(path, 2 * BYTES, 4)
    assert wish(larger, 1).answer is Answer.YOURS
    assert read(whole, 1) is Answer.READY  # a user of the old file continues with it


def test_a_newcomer_adopts_the_existing_size(path: Path) -> None:
    first, second = cache(path, 4), cache(path, 40)
    assert first.num_slots == second.num_slots == 4
    read(first, 5)
    assert read(second, 5) is Answer.READY


def test_the_last_user_removes_the_file(path: Path) -> None:
    users = [cache(path) for _ in range(3)]
    for user in users:
        assert path.exists()
        user.close()
        user.close()
    assert not path.exists()
    with pytest.raises(UnavailableError):
        users[0].request([0])
    forgotten = cache(path)
    assert path.exists()
    del forgotten
    assert not path.exists()


def test_users_that_cannot_join(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [cache(path)]
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(UnavailableError, match="another user"):
        cache(path)
    monkeypatch.undo()
    path.with_name("raysweep-0-link").symlink_to(path)
    with pytest.raises(UnavailableError):
        cache(path.with_name("raysweep-0-link"))
    users += [cache(path) for _ in range(shared_memory.MOST_USERS - 1)]
    with pytest.raises(UnavailableError, match="256"):
        cache(path)
    users.pop().close()
    read(cache(path), 0)


def test_nothing_is_left_behind_if_memory_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UnavailableError, match=os.strerror(errno.ENOSPC)):
        cache(path)
    assert not path.exists()


def test_the_wait_for_a_lock_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = cache(path)
    monkeypatch.setattr(shared_memory, "LOCK_PATIENCE_S", 0.01)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="lock"):
            user.request([0])
    assert read(user, 0) is Answer.YOURS


def test_a_process_is_identified_by_id_and_start_time(path: Path) -> None:
    started = start_time(os.getpid())
    assert started
    assert is_running(os.getpid(), started)
    assert not is_running(os.getpid(), started - 1)
    assert not is_running(0, 0)
    cache(path)


def _claim_and_wait(path: Path, chunk: int, connection: Connection) -> None:
    user = cache(path)
    read(user, chunk - 1)
    wish(user, chunk)
    connection.send("claimed")
    connection.recv()  # never comes


def claimer(path: Path, chunk: int) -> tuple[BaseProcess, Connection]:
    """A process that has claimed a chunk, and the connection that it waits at."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_claim_and_wait, args=(path, chunk, theirs), daemon=True)
    process.start()
    assert ours.recv() == "claimed"
    return process, ours


def kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def test_a_killed_users_claim_and_place_are_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = cache(path, 2)
    process, _connection = claimer(path, 5)
    assert wish(user, 5).answer is Answer.BUSY
    kill(process)
    assert wish(user, 5).answer is Answer.BUSY  # its owner is not checked yet
    monkeypatch.setattr(chunk_cache, "SUSPECT_NS", 0)
    make(user, wish(user, 5))
    assert num_users(user) == 1


def test_a_newcomer_frees_the_claims_of_killed_users(path: Path) -> None:
    user = cache(path, 2)
    process, _connection = claimer(path, 9)
    kill(process)
    newcomer = cache(path)
    assert num_users(user) == 2
    assert num_users(newcomer) == 2
    assert wish(newcomer, 9).answer is Answer.YOURS


def test_a_newcomer_removes_files_whose_users_are_all_dead(path: Path) -> None:
    process, _connection = claimer(path, 5)
    (path.with_name("raysweep-0-garbage")).write_bytes(b"x" * USERS_END)
    another = path.with_name("raysweep-0-another")
    read(cache(another), 0)
    living = cache(another)
    assert path.exists()  # its user is alive
    kill(process)
    living.close()
    cache(path.with_name("raysweep-1-not-ours"))
    assert path.exists()
    living = cache(another)
    assert not path.exists()
    assert [found.name for found in path.parent.glob("raysweep-0-*")] == [another.name]


def _read_wildly(path: Path, seed: int, steps: int, results: str) -> None:
    """Read chunks in increasing order with jumps back, from a cache that is far too small, and save what was read."""
    random.seed(seed)
    user, chunk, seen = cache(path, 3), 0, []
    quarters = [slice(start, start + BYTES // 4) for start in range(0, BYTES, BYTES // 4)]
    for _ in range(steps):
        # Of several chunks, only the first is safe from being dropped while it is read.
        ready, missing = user.request(range(chunk, chunk + 4))
        if missing and missing.answer is Answer.YOURS:
            for quarter in quarters:
                user.memory(missing)[quarter] = missing.chunk % 251
            user.publish(missing)
        values: dict[Slot, list[int]] = {slot: [] for slot in ready}
        for quarter in quarters:
            for slot in ready:
                values[slot] += [int(user.memory(slot)[quarter].min()), int(user.memory(slot)[quarter].max())]
            time.sleep(0.0001)  # lets the others reuse the slot
        seen += [(slot.chunk, min(values[slot]), max(values[slot])) for slot in user.still_held(ready)]
        chunk = 0 if random.random() < 0.01 else chunk + random.randrange(2)
    np.save(results, np.array(seen))


def test_many_processes_on_a_cache_that_is_far_too_small_read_no_wrong_byte(path: Path, tmp_path: Path) -> None:
    steps = 1000
    processes = [
        CONTEXT.Process(target=_read_wildly, args=(path, seed, steps, str(tmp_path / f"{seed}.npy")))
        for seed in range(5)
    ]
    for process in processes:
        process.start()
    processes[0].kill()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes[1:]] == [0] * 4
    seen = np.concatenate([np.load(tmp_path / f"{seed}.npy") for seed in range(1, 5)])
    assert len(seen) > steps / 4
    np.testing.assert_array_equal(seen[:, 1], seen[:, 0] % 251)
    np.testing.assert_array_equal(seen[:, 2], seen[:, 0] % 251)
