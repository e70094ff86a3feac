"""One decoded stream for many trials: the first trial to reach an image decodes it for all trials on the machine.

The positions of a stream are divided into chunks, and streams with the same pixels store their chunks in one
`ChunkCache`. Labels, conversions of single pixels and normalisation are applied by each trial separately, so that
trials which differ only in these, or in batch size, share too. Every trial reads the same bits as without sharing.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raysweep.data.chunk_cache import Answer, ChunkCache, Slot
from raysweep.data.image_file import preprocessed
from raysweep.data.preprocess import needs_whole_image, rgb
from raysweep.data.shared_memory import UnavailableError
from raysweep.data.stream import Batch, ImageStream, Take
from raysweep.errors import RaysweepError
from raysweep.process.machine import usable_memory

MEMORY = Path("/dev/shm")
CHUNK, CHUNK_BYTES = 128, 8 * 2**20
"""Positions in a chunk, halved until its images take at most CHUNK_BYTES."""
MOST_BYTES = 256 * 2**20
"""Largest size of one cache, for one set of images in one order; at most a quarter of the free space."""
LEAST_SLOTS = 16
"""Fewest chunks in a cache: with fewer, trials could not be at different positions."""
AHEAD = 8
"""Number of further chunks that a trial may decode while it waits for one."""
LEAST_WAIT_S, MOST_WAIT_S = 0.001, 0.008
"""Sleeps between checks for a chunk that another trial decodes; each is twice as long as the previous one."""

INDEX = np.dtype(np.int64)
Stream = TypeVar("Stream", bound=ImageStream)


@dataclass(frozen=True)
class Part:
    """The positions (n,) of a batch in one chunk, and their rows in the chunk and in the batch."""

    positions: NDArray[np.int64]
    of_chunk: slice
    of_batch: slice


HandOver = Callable[[Part, NDArray[np.int64], NDArray[np.uint8]], None]
"""A function of a part, its indices and its images."""


class SharedStream:
    """A stream that shares decoded images with other trials; its batches are those of the private stream.

    A trial that falls behind the others by more than the window decodes for itself and for trials near it; no trial
    waits for it. Sharing ends with `close`, or when the process ends in whatever way.
    """

    def __init__(self, stream: ImageStream, folder: Path = MEMORY, most_bytes: int = MOST_BYTES) -> None:
        """Share the stream through a file in `folder`, which is in memory.

        Raises:
            UnavailableError: there is too little memory; the error gives the sizes needed and free.
        """
        self.stream = stream
        # The pre-processing that is done once for all trials, and that of each trial.
        common = needs_whole_image(stream.preprocess)
        self._common, self._own = (stream.preprocess, rgb) if common else (rgb, stream.preprocess)
        self._shape = self._common(np.zeros((1, stream.side, stream.side, 3), np.uint8)).shape[1:]
        self._chunk = _chunk_length(int(np.prod(self._shape)))
        size = self._chunk * (INDEX.itemsize + int(np.prod(self._shape)))
        path, useful = folder / segment_name(stream), -(-stream.num_images // self._chunk) + AHEAD
        self._cache = ChunkCache(path, size, min(_num_slots(path, size, most_bytes), max(LEAST_SLOTS, useful)))
        self.window = self._cache.num_slots * self._chunk
        """The number of positions in the cache: trials share within this distance."""
        self.num_made = 0
        """Number of chunks that this trial has decoded for all."""
        self.num_private = 0
        """Number of parts of batches that this trial has decoded only for itself."""
        self.num_waits = 0
        """Number of sleeps while others decoded a chunk."""
        self._damaged: set[int] = set()

    def positions(self, number: int) -> NDArray[np.int64]:
        """The positions of a batch; see `ImageStream`."""
        return self.stream.positions(number)

    def close(self) -> None:
        """Stop sharing; later batches are decoded privately."""
        self._cache.close()

    def batch(self, number: int, *, rows: slice | None = None) -> Batch:
        """Batch `number`, or the given rows of it; see `ImageStream`.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: the stream has no batch of this number.
        """
        images = np.empty((len(self.positions(number)[rows or slice(None)]), *self.stream.shape), np.uint8)
        labels, indices = self.deliver(number, images.__setitem__, rows=rows)
        return Batch(images, labels, indices)

    def deliver(
        self, number: int, take: Take, *, rows: slice | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pass the images of a batch, or of the given rows of it, to `take` uncopied; returns their labels and indices.

        Images may be passed twice if their slot was reused during the first call; the second call counts.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: the stream has no batch of this number.
        """
        positions = self.positions(number)[rows or slice(None)]
        ids, parts = np.empty(len(positions), np.int64), dict(self._parts(positions))

        def hand_over(part: Part, indices: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
            ids[part.of_batch] = indices
            take(part.of_batch, preprocessed(images, self._own, self.stream.pool))

        taken = self._take(parts, hand_over)
        for chunk, part in parts.items():
            if chunk not in taken:
                hand_over(part, *self._cut(part.positions))
                self.num_private += 1
        return self.stream.labels[ids], ids

    def _parts(self, positions: NDArray[np.int64]) -> Iterator[tuple[int, Part]]:
        """The chunks of a batch with their parts; positions are equally spaced."""
        # In plain Python: there are few chunks, and NumPy's code would displace the decoder's in the processor's cache.
        begin, end, step = int(positions[0]), int(positions[-1]) + 1, int(np.diff(positions[:2]).sum()) or 1
        last = 0
        for chunk in range(begin // self._chunk, -(-end // self._chunk)):
            start = chunk * self._chunk
            first, last = last, -(-(min(start + self._chunk, end) - begin) // step)
            if first < last:
                row = begin + first * step - start
                of_batch = slice(first, last)
                yield chunk, Part(positions[of_batch], slice(row, row + (last - first - 1) * step + 1, step), of_batch)

    def _take(self, parts: Mapping[int, Part], hand_over: HandOver) -> set[int]:
        """Hand over the parts whose chunks are in the cache or can be added; returns these chunks."""
        taken: set[int] = set()
        given_up = set(self._damaged)
        wait_s = LEAST_WAIT_S
        try:
            while missing := [chunk for chunk in parts if chunk not in taken | given_up]:
                ready, claim = self._cache.request(missing)
                for slot in ready:
                    part, (ids, images) = parts[slot.chunk], self._whole(slot)
                    hand_over(part, ids[part.of_chunk], images[part.of_chunk])
                if ready:
                    taken |= {slot.chunk for slot in self._cache.still_held(ready)}
                if claim is None:
                    continue
                if claim.answer is Answer.FULL or (claim.answer is Answer.YOURS and not self._make(claim)):
                    given_up.add(claim.chunk)
                elif claim.answer is Answer.BUSY and not ready and not self._make_ahead(claim.chunk):
                    self.num_waits += 1
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, MOST_WAIT_S)
        except UnavailableError:
            pass
        return taken

    def _make_ahead(self, chunk: int) -> bool:
        """Decode the first of the next chunks that no trial has claimed; returns whether there was one."""
        last = chunk + min(AHEAD, self._cache.num_slots // 4) + 1
        if self.stream.end is not None:
            last = min(last, -(-self.stream.end // self._chunk))
        slot = self._cache.claim_ahead([number for number in range(chunk + 1, last) if number not in self._damaged])
        return slot is not None and self._make(slot)

    def _make(self, slot: Slot) -> bool:
        """Decode a claimed chunk for all trials; returns whether it succeeded, and releases the claim if not."""
        first, last = slot.chunk * self._chunk, (slot.chunk + 1) * self._chunk
        positions = np.arange(first, last if self.stream.end is None else min(last, self.stream.end))
        ids, images = self._whole(slot)
        rows = slice(len(positions))
        try:
            ids[rows], _ = self._cut(positions, out=images[rows])
        except RaysweepError:
            # A trial that reaches the damaged image fails then; each trial decodes the rest of the chunk privately.
            self._damaged.add(slot.chunk)
            self._cache.release(slot)
            return False
        except BaseException:
            self._cache.release(slot)
            raise
        self.num_made += 1
        self._cache.publish(slot)
        return True

    def _cut(
        self, positions: NDArray[np.int64], out: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The indices and images of these positions as the cache stores them; the images are in `out` if given."""
        stream, crops = self.stream, self.stream.crops(positions)
        direct = out if self._common is rgb else None
        images = stream.file.cut(crops, stream.side, stream.pad, stream.pool, self._common, direct)
        if out is not None and direct is None:
            out[:] = images
        return crops.ids, images

    def _whole(self, slot: Slot) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The content of a slot: indices of images in their file (n,), and the images (n, side, side, C)."""
        memory = self._cache.memory(slot)
        start = self._chunk * INDEX.itemsize
        return memory[:start].view(INDEX), memory[start:].reshape(self._chunk, *self._shape)


def share(stream: Stream) -> Stream | SharedStream:
    """The stream, shared with other trials on this machine if that saves time and there is enough memory."""
    if not is_worth_sharing(stream):
        return stream
    try:
        return SharedStream(stream, MEMORY)
    except (UnavailableError, OSError) as error:  # for example a system without /dev/shm
        _warn_once(str(error))
        return stream


def is_worth_sharing(stream: ImageStream) -> bool:
    """Whether computing an image costs more than copying it.

    It does not if plain crops are cut from stored pixels: these are in a mapped file, which is shared anyway.
    """
    return stream.file.is_encoded or stream.resamples or needs_whole_image(stream.preprocess)


def segment_name(stream: ImageStream) -> str:
    """The name of a stream's shared memory, made of the user and everything that determines the pixels."""
    status = stream.file.beton.path.stat()
    # The identity of the file, not of its content: one of two copies may be damaged.
    file = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    common = stream.preprocess if needs_whole_image(stream.preprocess) else rgb
    key = (CHUNK, CHUNK_BYTES, file, stream.pixels_key(), common.__module__, common.__qualname__, _code())
    # Only among processes that see each other: it is unknown whether those of another container are alive.
    processes = Path("/proc/self/ns/pid").stat().st_ino
    return f"raysweep-{os.geteuid()}-{processes}-{hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()}"


@cache
def _code() -> tuple[str, str]:
    """The code that converts files to pixels: this package's sources, and the environment of its libraries."""
    digest = hashlib.blake2b()
    for path in sorted(Path(__file__).parent.glob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest(), sys.prefix


def _chunk_length(image_bytes: int) -> int:
    length = CHUNK
    while length > 1 and length * image_bytes > CHUNK_BYTES:
        length //= 2
    return length


def _num_slots(path: Path, chunk_bytes: int, most_bytes: int) -> int:
    """The number of chunks in a new cache.

    Raises:
        UnavailableError: there is too little memory, and the cache does not exist yet.
    """
    status = os.statvfs(path.parent)
    # A file there takes memory, of which a container may have less than the file system has room.
    free = min(status.f_bavail * status.f_frsize, int(usable_memory().free))
    num_slots = min(most_bytes, free // 4) // chunk_bytes
    if num_slots < LEAST_SLOTS and not path.exists():
        raise UnavailableError(
            f"sharing needs {LEAST_SLOTS * chunk_bytes / 2**20:.0f} MiB, but may take at most a quarter of the "
            f"{free / 2**20:.0f} MiB free in {path.parent}, and at most {most_bytes / 2**20:.0f} MiB"
        )
    return max(LEAST_SLOTS, num_slots)


_warned = threading.Event()


def _warn_once(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        warnings.warn(f"each trial decodes its images separately: {reason}.", RuntimeWarning, stacklevel=3)
