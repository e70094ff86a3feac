"""A file in shared memory that processes of one user map together; the last one to leave removes it.

Nothing in it depends on one process: changes are made under a lock that the kernel takes back from the dead, and
whoever comes next clears away what they have left behind.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = b"raysweep"
VERSION = 1
"""Of all that comes after the users: files of another version can be cleared away, but not be used."""
MOST_USERS = 256
LOCK_PATIENCE_S = 1.0
"""The lock is held for microseconds, unless its holder is suspended just then: the others go on without the segment."""
JOIN_PATIENCE_S = 60.0
"""Here it may be held while the kernel clears hundreds of MiB."""
HEADER = np.dtype([("magic", "S8"), ("version", "<i8"), ("items", "<i8"), ("item_bytes", "<i8"), ("row_bytes", "<i8")])
USER = np.dtype([("pid", "<i8"), ("started", "<i8"), ("position", "<i8")])
USERS_END = HEADER.itemsize + MOST_USERS * USER.itemsize
NOWHERE = -1
POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE of Linux 5.14, which Python does not name."""


class UnavailableError(Exception):
    """The segment cannot be used, for ever or just now; says why."""


@dataclass(frozen=True)
class Layout:
    """A table of `items` rows of `row_bytes`, and `items` pieces of memory of `item_bytes`."""

    items: int
    item_bytes: int
    row_bytes: int

    @property
    def data_start(self) -> int:
        """Where the first piece begins: on a page."""
        return -(-(USERS_END + self.items * self.row_bytes) // mmap.PAGESIZE) * mmap.PAGESIZE

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.data_start + self.items * self.item_bytes

    def header(self) -> bytes:
        """As it stands in the file."""
        return np.array([(MAGIC, VERSION, self.items, self.item_bytes, self.row_bytes)], HEADER).tobytes()


class Segment:
    """A mapped file with a table of its users and a lock; `users`, `table` and `data` are views of it."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Join the segment of that name, or create it. One that exists keeps its own number of items.

        Raises:
            UnavailableError: no memory for it, no place left in it, or not ours.
        """
        remove_abandoned(path.parent, path.name.rpartition("-")[0])
        try:
            self._file, self.layout, self.place = _join(path, layout)
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}") from error
        self._pid, self._threads = os.getpid(), threading.Lock()
        self.close = weakref.finalize(self, _leave, self._file, path, self.place, self._pid)
        """Give the place back; the last user removes the file. Also done when nobody holds the segment any more."""
        try:
            mapped = mmap.mmap(self._file, self.layout.size)
        except OSError as error:
            self.close()
            raise UnavailableError(f"{path}: {error.strerror}") from error
        _populate(mapped)
        self.users = np.frombuffer(mapped, USER, MOST_USERS, HEADER.itemsize)
        self.table = np.frombuffer(mapped, np.uint8, self.layout.items * layout.row_bytes, USERS_END)
        pieces = np.frombuffer(mapped, np.uint8, self.layout.items * layout.item_bytes, self.layout.data_start)
        self.data: NDArray[np.uint8] = pieces.reshape(self.layout.items, layout.item_bytes)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the tables, among threads and processes.

        Raises:
            UnavailableError: whoever has the lock does not let go, the segment was closed, or this is a forked child.
        """
        with self._threads:
            if not self.close.alive or self._pid != os.getpid():
                raise UnavailableError("not a user of this segment")
            with _alone(self._file, LOCK_PATIENCE_S):
                yield

    def is_alive(self, place: int) -> bool:
        """Whether the user of that place still lives."""
        return is_running(int(self.users["pid"][place]), int(self.users["started"][place]))

    def dead(self) -> list[int]:
        """The places of users that have died without giving them back."""
        return [place for place in np.flatnonzero(self.users["pid"]).tolist() if not self.is_alive(place)]

    def free(self, place: int) -> None:
        """Give somebody else's place back."""
        self.users["pid"][place] = 0
        self.users["position"][place] = NOWHERE


def is_running(pid: int, started: int) -> bool:
    """Whether the process lives that had this id when it started; ids are given anew."""
    return pid > 0 and started == start_time(pid)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did; none for one that is gone."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the segments of that prefix all of whose users have died, of whatever version."""
    for path in folder.glob(f"{prefix}-*"):
        # Gone, not ours or being made just now: none of them is abandoned.
        with suppress(OSError, UnavailableError):
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                with _alone(file, 0.0):
                    if _is_named(file, path) and not any(is_running(pid, at) for pid, at, _ in _users(file)):
                        path.unlink()
            finally:
                os.close(file)


@contextmanager
def _alone(file: int, patience_s: float) -> Iterator[None]:
    deadline, wait_s = time.monotonic() + patience_s, 1e-4
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise UnavailableError("its lock is not given back") from None
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 2e-3)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _join(path: Path, layout: Layout) -> tuple[int, Layout, int]:
    """The open file, its layout, and our place among its users."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_uid != os.geteuid():
                raise PermissionError(0, "it belongs to another user")
            with _alone(file, JOIN_PATIENCE_S):
                if _is_named(file, path) and (found := _found_or_created(file, path, layout)):
                    return file, found, _take_place(file)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_named(file: int, path: Path) -> bool:
    """Whether that is still the file of this name: whoever left last may have removed it while we waited."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _found_or_created(file: int, path: Path, layout: Layout) -> Layout | None:
    """The layout of the file; an empty one gets the one asked for, another kind of file is removed."""
    if os.fstat(file).st_size == 0:
        _create(file, path, layout)
        return layout
    header = os.pread(file, HEADER.itemsize, 0).ljust(HEADER.itemsize, b"\0")
    found = Layout(int(np.frombuffer(header, HEADER)[0]["items"]), layout.item_bytes, layout.row_bytes)
    if header == found.header() and os.fstat(file).st_size == found.size:
        return found
    path.unlink()
    return None


def _create(file: int, path: Path, layout: Layout) -> None:
    try:
        os.ftruncate(file, layout.size)
        with mmap.mmap(file, layout.size) as mapped:
            _populate(mapped)
        # What could not be had is found out here, and not by a signal in the middle of an epoch.
        os.posix_fallocate(file, 0, layout.size)
        free = np.zeros(MOST_USERS, USER)
        free["position"] = NOWHERE
        # The header last: without it nobody uses the file.
        os.pwrite(file, free.tobytes(), HEADER.itemsize)
        os.pwrite(file, layout.header(), 0)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _populate(mapped: mmap.mmap) -> None:
    """Have all pages at once: one by one each costs a fault. Older kernels cannot."""
    with suppress(OSError):
        mapped.madvise(POPULATE_WRITE)


def _users(file: int) -> list[tuple[int, int, int]]:
    stored = os.pread(file, MOST_USERS * USER.itemsize, HEADER.itemsize)
    users: list[tuple[int, int, int]] = np.frombuffer(
        stored[: len(stored) // USER.itemsize * USER.itemsize], USER
    ).tolist()
    return users


def _take_place(file: int) -> int:
    for place, (pid, *_) in enumerate(_users(file)):
        if pid == 0:
            user = np.array([(os.getpid(), start_time(os.getpid()), NOWHERE)], USER)
            os.pwrite(file, user.tobytes(), HEADER.itemsize + place * USER.itemsize)
            return place
    raise UnavailableError(f"its {MOST_USERS} places are taken")


def _leave(file: int, path: Path, place: int, pid: int) -> None:
    """Static, so that it does not keep the segment from being given up."""
    if pid != os.getpid():
        return  # a forked child is no user
    try:
        # Where the lock cannot be had, the place is given back by this process's death.
        with suppress(UnavailableError), _alone(file, LOCK_PATIENCE_S):
            os.pwrite(file, np.array([(0, 0, NOWHERE)], USER).tobytes(), HEADER.itemsize + place * USER.itemsize)
            if _is_named(file, path) and not any(is_running(pid, at) for pid, at, _ in _users(file)):
                path.unlink()
    finally:
        os.close(file)
