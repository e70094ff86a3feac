"""The folder `.writing` of an image set under way, for one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raysweep.data.manifest import STAGING_NAME
from raysweep.errors import RaysweepError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that know no locks: that there is one writer is then the user's to see to."""


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The staging folder of `folder`, for this process alone; it is removed if nothing is kept in it.

    Raises:
        RaysweepError: another process has it, or the folder cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    place = folder / STAGING_NAME
    lock = _lock(place, folder)
    try:
        yield place
    finally:
        if not (place / "journal").exists():
            shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
        _remove_empty([place, *made])  # after the lock is closed: NFS keeps a removed file while it is open


def _lock(place: Path, folder: Path) -> int:
    try:
        while True:
            place.mkdir(parents=True, exist_ok=True)
            lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            _take(lock, folder)
            if _is_same(lock, place / "lock"):
                break
            os.close(lock)  # its owner has just finished and removed it
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError as error:
        raise RaysweepError(f"{folder} cannot be written: {error.strerror}. Name another folder.") from None
    return lock


def _take(lock: int, folder: Path) -> None:
    try:
        if not try_lock(lock):
            owner = os.pread(lock, 200, 0).decode(errors="replace")
            raise RaysweepError(f"{folder} is being written by another process ({owner}): wait for it.")
    except BaseException:
        os.close(lock)
        raise


def try_lock(file: int) -> bool:
    """Lock an open file until it is closed; false where another process has it, true where there are no locks.

    Raises:
        OSError: the file system fails.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _remove_empty(folders: Sequence[Path]) -> None:
    for path in folders:
        try:
            path.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return
