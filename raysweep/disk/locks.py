"""Lock files: one process at a time. The system releases a lock when its process ends, however it ends."""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems that do not support locks."""


class LockedError(Exception):
    """Another process, or another part of this one, holds the lock."""

    def __init__(self, path: Path) -> None:
        """`path` of the lock file."""
        self.owner = ""
        """The process that holds it and its machine, such as `process 123 on node7`; empty if unknown."""
        with suppress(OSError):
            self.owner = path.read_text(errors="replace")[:200]
        super().__init__(f"{path} is locked by {self.owner or 'another process'}")


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`, which is created if it is missing and stays when the block ends.

    On a file system without locks a warning is printed once and the block runs without one.

    Raises:
        LockedError: the lock is held elsewhere and `wait` is false.
        OSError: the lock file cannot be opened.
    """
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=wait)
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
    except Timeout:
        raise LockedError(path) from None
    except OSError as error:
        lock.release()
        if error.errno not in WITHOUT_LOCKS:
            raise
        _warn(path.parent)
    try:
        yield
    finally:
        lock.release()


@cache
def _warn(folder: Path) -> None:
    warnings.warn(
        f"{folder} is on a file system without locks: make sure that only one process at a time writes there.",
        stacklevel=2,
    )
