"""JPEG sets that fit in memory: decoded once per node, mapped by every process of it.

The pixels of a split lie in one file named after the checksum of its FFCV file. The first process that wants them makes
it under a lock, the others wait; then the compiled loop that cuts stored pixels serves. The batches are the same, bit
for bit. What does not fit is decoded as it is read.
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
from raysweep.disk.locks import locked
from raysweep.disk.whole import replacing

LARGEST = 4 << 30
"""Bytes of decoded pixels: some ten seconds of decoding on one core; more would delay the first trial too long."""
MEMORY_SHARE = 1 / 4
"""Of the memory of the machine, or of the container it is."""
FREE_SHARE = 1 / 2
"""Of what is free where the pixels would lie."""
KEEP_S = 3600.0
"""Seconds after its last opening that a store stays which no process has open."""
SAMPLED = 16
"""Images of a store that are decoded again and compared when it is opened."""
SHARED_MEMORY = Path("/dev/shm")
_open: dict[Path, IO[bytes]] = {}
"""Stores that this process has open, each under a shared lock: the system lets go of it when the process dies."""


def open_images(folder: Path, manifest: Manifest, split: str, threads: int = 1) -> ImageFile:
    """The images of `train` or `test`, read from memory where they are JPEG and fit.

    Raises:
        RaysweepError: as `ImageFile.open`, and where they fit, if the file is not the one that was written.
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
                verify(folder, manifest, full=True)  # the name promises the content
                _make(path, file, size, Pool(threads))
            return file.as_pixels(_map(path))
    except OSError:  # there was no room after all: the file itself serves
        return file


def place_for(name: str, size: int) -> Path | None:
    """Where decoded pixels of that many bytes lie or belong; none where they are too many.

    They are at most LARGEST, MEMORY_SHARE of the memory and, where they are yet to be made, FREE_SHARE of what is free:
    of memory and space in /dev/shm, which comes first, or of the disk with the user's cache folder, where the system's
    file cache keeps them.
    """
    if size > min(LARGEST, MEMORY_SHARE * _memory("MemTotal")):
        return None
    for folder, free in _folders():
        if (folder / name).is_file() or size <= FREE_SHARE * min(free, shutil.disk_usage(folder).free):
            return folder / name
    return None


def _folders() -> Iterator[tuple[Path, float]]:
    """This user's folders for decoded pixels, and how many bytes of memory are free for what lies there."""
    for parent, free in ((SHARED_MEMORY, _memory("MemAvailable")), (cache_folder(), math.inf)):
        folder = parent / f"raysweep-{os.getuid()}"
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=parent != SHARED_MEMORY, exist_ok=True)
            # Not one that somebody else has made in our name.
            if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK):
                yield folder, free


def _memory(entry: str) -> float:
    """Bytes by the system's table, or the container's limit where that is less; 0 where nothing is known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:"))
    except (OSError, StopIteration, ValueError):
        return 0.0
    with suppress(OSError, ValueError):
        return min(found, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found


def remove_stale(folder: Path) -> None:
    """Remove every store that no process has open and that was last opened more than KEEP_S ago.

    The last process to close one removes it; what is found here was left by processes that were killed.
    """
    for path in folder.glob("*.pixels*"):
        with suppress(OSError), path.open("rb") as file:
            if time.time() - path.stat().st_mtime > KEEP_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused where it is open
                path.unlink()


def _holds(path: Path, file: ImageFile, size: int) -> bool:
    """Whether the store is there, whole, and has the pixels that the decoder gives now."""
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
    """Decode every image into the store: whole or not at all."""
    with replacing(path, sync=False) as part:
        with part.open("wb") as new:
            os.posix_fallocate(new.fileno(), 0, size)  # fails here if there is no room, not by a signal later
        pixels = np.memmap(part, np.uint8, "r+", shape=(size,))
        file.unpack(slice(0, file.num_images), pixels, pool)
        pixels.flush()
    if path in _open:  # another one, whose pixels were not the decoder's
        _open.pop(path).close()


def _map(path: Path) -> NDArray[np.uint8]:
    if path not in _open:
        _open[path] = path.open("rb")
        fcntl.flock(_open[path], fcntl.LOCK_SH)
    os.utime(path)
    return np.asarray(np.memmap(_open[path], np.uint8, "r"))


@atexit.register
def close_stores() -> None:
    """Close what this process has open; what nobody else has open is removed."""
    while _open:
        path, file = _open.popitem()
        with suppress(OSError), file, locked(path.parent / "lock"):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
