"""JPEG sets that fit in memory: decoded once per node and mapped by every process on it.

The pixels of a split are in one file, named after the checksum of its FFCV file. The first process that
needs them writes it under a lock while the others wait. They are then cut like any stored pixels, to bit-identical
batches. A set that does not fit is decoded as it is read.
"""

from __future__ import annotations

import atexit
import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from raysweep.data.image_file import ImageFile, Pool
from raysweep.data.loops import PIXEL
from raysweep.data.manifest import Manifest, verify
from raysweep.disk.cache import cache_folder
from raysweep.disk.locks import WITHOUT_LOCKS, locked
from raysweep.disk.private import private_folder
from raysweep.disk.whole import replacing
from raysweep.process.machine import usable_memory

LARGEST = 4 << 30
"""Largest size in bytes: some ten seconds of decoding on one core. More would delay the first trial too long."""
MEMORY_SHARE = 1 / 4
"""Largest share of the memory that this process may use."""
FREE_SHARE = 1 / 2
"""Largest share of the free space where the file would be written."""
KEEP_S = 3600.0
"""Seconds for which a file that no process has open is kept after it was last opened."""
SAMPLED = 16
"""Number of images that are decoded again and compared when a file is opened."""
SHARED_MEMORY = Path("/dev/shm")
_open: dict[Path, IO[bytes]] = {}
"""Files that this process has open, each under a shared lock that the system releases when the process dies."""


def open_images(folder: Path, manifest: Manifest, split: str, threads: int = 1) -> ImageFile:
    """The images of `train` or `test`, read from memory if they are JPEG and fit.

    Raises:
        RaysweepError: as for `ImageFile.open`; also if they fit but the file is not the one that was written.
    """
    file = ImageFile.open(folder, manifest, split)
    size = PIXEL * int(file.firsts[-1])
    path = place_for(f"{manifest.splits[split].sha256}.pixels", size) if file.is_encoded else None
    if path is None:
        return file
    try:
        with locked(path.parent / "lock"):
            remove_stale(path.parent)
            if not _holds(path, file, size):
                verify(folder, manifest, full=True)  # the name is its checksum
                _make(path, file, size, Pool(threads))
            return file.as_pixels(_map(path))
    except OSError:  # there was not enough room after all
        return file


def place_for(name: str, size: int) -> Path | None:
    """The path for decoded pixels of `size` bytes, whether they exist or not; none if they are too large.

    They take at most LARGEST bytes, MEMORY_SHARE of the memory and, unless they exist already, FREE_SHARE of what is
    free: of memory and space in /dev/shm, which is tried first; otherwise of the disk with the user's cache folder,
    whose files the system keeps in memory.
    """
    if size > min(LARGEST, MEMORY_SHARE * usable_memory().total):
        return None
    for folder, free in _folders():
        if (folder / name).is_file() or size <= FREE_SHARE * min(free, shutil.disk_usage(folder).free):
            return folder / name
    return None


def _folders() -> Iterator[tuple[Path, float]]:
    """The user's folders for decoded pixels, each with the bytes of memory that are free for files in it."""
    with suppress(OSError):
        if SHARED_MEMORY.is_dir():
            yield private_folder(SHARED_MEMORY / f"raysweep-{os.geteuid()}"), usable_memory().free
    with suppress(OSError):
        yield private_folder(cache_folder() / "pixels"), math.inf


def remove_stale(folder: Path) -> None:
    """Remove every file that no process has open and that was last opened more than KEEP_S ago.

    The last process to close a file removes it; those found here were left by processes that were killed.
    """
    for path in folder.glob("*.pixels*"):
        with suppress(OSError), path.open("rb") as file:
            if time.time() - path.stat().st_mtime > KEEP_S and not _is_in_use(file):
                path.unlink()


def _is_in_use(file: IO[bytes]) -> bool:
    """Whether another process has a file open; unknown without locks, where removing it harms nobody who has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in WITHOUT_LOCKS
    return False


def _holds(path: Path, file: ImageFile, size: int) -> bool:
    """Whether the file is complete and its pixels are those that the decoder returns now."""
    if not path.exists() or path.stat().st_size != size:
        return False
    pixels = np.memmap(path, np.uint8, "r")
    for image in np.unique(np.linspace(0, file.num_images - 1, SAMPLED).astype(int)).tolist():
        begin, end = (PIXEL * file.firsts[[image, image + 1]]).tolist()
        fresh = np.empty(end - begin, np.uint8)
        file.unpack(slice(image, image + 1), fresh, Pool(1))
        if not np.array_equal(fresh, pixels[begin:end]):
            return False
    return True


def _make(path: Path, file: ImageFile, size: int, pool: Pool) -> None:
    """Decode every image into the file, which is created whole or not at all."""
    with replacing(path, sync=False) as part:
        with part.open("wb") as new:
            os.posix_fallocate(new.fileno(), 0, size)  # fails here if there is no room, not by a signal later
        pixels = np.memmap(part, np.uint8, "r+", shape=(size,))
        file.unpack(slice(0, file.num_images), pixels, pool)
        pixels.flush()
    if path in _open:  # the file that was replaced, with other pixels
        _open.pop(path).close()


def _map(path: Path) -> NDArray[np.uint8]:
    if path not in _open:
        file = path.open("rb")
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        _open[path] = file
    os.utime(path)
    return np.asarray(np.memmap(_open[path], np.uint8, "r"))


@atexit.register
def close_files() -> None:
    """Close the files that this process has open, and remove those that no other process has open."""
    while _open:
        path, file = _open.popitem()
        with suppress(OSError), file, locked(path.parent / "lock"):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
