"""The folder `.writing` of an image set under way, for one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raysweep.errors import RaysweepError

NAME = ".writing"


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The staging folder of `folder`, for this process alone; it is removed if nothing is kept in it.

    Raises:
        RaysweepError: another process has it, or the folder cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    place = folder / NAME
    lock = _lock(place, folder)
    try:
        yield place
    finally:
        if not (place / "journal").exists():
            shutil.rmtree(place, ignore_errors=True)
            _remove_empty(made)
        os.close(lock)


def _lock(place: Path, folder: Path) -> int:
    try:
        while True:
            place.mkdir(parents=True, exist_ok=True)
            lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(lock, 200, 0).decode(errors="replace")
                os.close(lock)
                raise RaysweepError(f"{folder} is being written by another process ({owner}): wait for it.") from None
            if _is_same(lock, place / "lock"):
                break
            os.close(lock)  # its owner has just finished and removed it
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError as error:
        raise RaysweepError(f"{folder} cannot be written: {error.strerror}. Name another folder.") from None
    return lock


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _remove_empty(folders: Sequence[Path]) -> None:
    for path in folders:
        if any(path.iterdir()):
            break
        path.rmdir()
