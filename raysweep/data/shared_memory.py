"""A file in shared memory that several processes of one user map; the last one to leave removes it.

Nothing in it depends on a single process: changes are made under a lock that the kernel releases when its owner dies,
and the next process cleans up what dead ones have left.
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
"""The version of everything after the users: files of another version can be removed but not used."""
MOST_USERS = 256
LOCK_PATIENCE_S = 1.0
"""The lock is held for microseconds, unless its holder is suspended: the others then do without the segment."""
JOIN_PATIENCE_S = 60.0
"""When joining, the lock may be held while the kernel clears hundreds of MiB."""
HEADER = np.dtype([("magic", "S8"), ("version", "<i8"), ("items", "<i8"), ("item_bytes", "<i8"), ("row_bytes", "<i8")])
USER = np.dtype([("pid", "<i8"), ("started", "<i8"), ("position", "<i8")])
USERS_END = HEADER.itemsize + MOST_USERS * USER.itemsize
NOWHERE = -1
POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE of Linux 5.14, which the mmap module does not define."""


class UnavailableError(Exception):
    """The segment cannot be used, permanently or at the moment."""


@dataclass(frozen=True)
class Layout:
    """A table of `items` rows of `row_bytes` each, and `items` pieces of memory of `item_bytes` each."""

    items: int
    item_bytes: int
    row_bytes: int

    @property
    def data_start(self) -> int:
        """The offset of the first piece, which begins on a page."""
        return -(-(USERS_END + self.items * self.row_bytes) // mmap.PAGESIZE) * mmap.PAGESIZE

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return self.data_start + self.items * self.item_bytes

    def header(self) -> bytes:
        """The header of the file."""
        return np.array([(MAGIC, VERSION, self.items, self.item_bytes, self.row_bytes)], HEADER).tobytes()


class Segment:
    """A mapped file with a table of its users and a lock; `users`, `table` and `data` are views of it."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Join the segment at `path`, or create it. An existing one keeps its own number of items.

        Raises:
            UnavailableError: there is too little memory, the segment has no free place, or it is another user's.
        """
        remove_abandoned(path.parent, path.name.rpartition("-")[0])
        try:
            self._file, self.layout, self.place = _join(path, layout)
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}") from error
        self._pid, self._threads = os.getpid(), threading.Lock()
        self.close = weakref.finalize(self, _leave, self._file, path, self.place, self._pid)
        """Leave the segment; the last user removes the file. Also called when the object is garbage-collected."""
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
        """Hold the lock, among threads and processes, to change the tables.

        Raises:
            UnavailableError: the lock is not released, the segment is closed, or this process is a forked child.
        """
        with self._threads:
            if not self.close.alive or self._pid != os.getpid():
                raise UnavailableError("this process does not use the segment")
            with _locked(self._file, LOCK_PATIENCE_S):
                yield

    def is_alive(self, place: int) -> bool:
        """Whether the user of a place is alive."""
        return is_running(int(self.users["pid"][place]), int(self.users["started"][place]))

    def dead(self) -> list[int]:
        """The places of users that have died without leaving."""
        return [place for place in np.flatnonzero(self.users["pid"]).tolist() if not self.is_alive(place)]

    def free(self, place: int) -> None:
        """Free the place of another user."""
        self.users["pid"][place] = 0
        self.users["position"][place] = NOWHERE


def is_running(pid: int, started: int) -> bool:
    """Whether the process with this id and start time is alive; the system reuses ids."""
    return pid > 0 and started == start_time(pid)


def start_time(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot; none if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the segments with this prefix, of any version, whose users have all died."""
    for path in folder.glob(f"{prefix}-*"):
        # A file that is gone, another user's or in use at the moment is not abandoned.
        with suppress(OSError, UnavailableError):
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                with _locked(file, 0.0):
                    if _is_named(file, path) and not any(is_running(pid, at) for pid, at, _ in _users(file)):
                        path.unlink()
            finally:
                os.close(file)


@contextmanager
def _locked(file: int, patience_s: float) -> Iterator[None]:
    deadline, wait_s = time.monotonic() + patience_s, 1e-4
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise UnavailableError("its lock is not released") from None
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 2e-3)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _join(path: Path, layout: Layout) -> tuple[int, Layout, int]:
    """Open or create the file and join its users; returns the file, its layout and our place."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_uid != os.geteuid():
                raise PermissionError(0, "it belongs to another user")
            with _locked(file, JOIN_PATIENCE_S):
                if _is_named(file, path) and (found := _found_or_created(file, path, layout)):
                    return file, found, _take_place(file)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_named(file: int, path: Path) -> bool:
    """Whether the path still refers to this file: the last user may have removed it while we waited."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _found_or_created(file: int, path: Path, layout: Layout) -> Layout | None:
    """The layout of the file. An empty file is given the requested layout; one of another kind is removed."""
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
        # Fails here if there is too little memory, instead of by a signal in the middle of an epoch.
        os.posix_fallocate(file, 0, layout.size)
        free = np.zeros(MOST_USERS, USER)
        free["position"] = NOWHERE
        # The header last: without it the file is not used.
        os.pwrite(file, free.tobytes(), HEADER.itemsize)
        os.pwrite(file, layout.header(), 0)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _populate(mapped: mmap.mmap) -> None:
    """Allocate all pages at once, which saves a fault for each; older kernels cannot."""
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
    """Leave the segment. A function, not a method: a reference to the object would keep it from being collected."""
    if pid != os.getpid():
        return  # a forked child does not use it
    try:
        # If the lock is not available, the place is freed when this process ends.
        with suppress(UnavailableError), _locked(file, LOCK_PATIENCE_S):
            os.pwrite(file, np.array([(0, 0, NOWHERE)], USER).tobytes(), HEADER.itemsize + place * USER.itemsize)
            if _is_named(file, path) and not any(is_running(pid, at) for pid, at, _ in _users(file)):
                path.unlink()
    finally:
        os.close(file)
