"""One decoded stream for many trials: whichever of them comes to an image first decodes it for all on the machine.

The positions of a stream are divided into chunks, and the chunks of streams with the same pixels lie in one
`ChunkCache`. Labels, conversions of single pixels and normalisation are each trial's own, so that trials which differ
in these alone share too, as do those of different batch sizes. Every trial sees what it would see alone, to the bit.
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
from functools import cache, partial
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

MEMORY = Path("/dev/shm")
CHUNK, CHUNK_BYTES = 128, 8 * 2**20
"""Positions in a chunk; half as many, or a quarter, ... where that many images are more than so many bytes."""
MOST_BYTES = 256 * 2**20
"""Of one cache, which is for one set of images in one order; or a quarter of what is free, if that is less."""
LEAST_SLOTS = 16
"""Chunks below which trials have no room to be apart."""
AHEAD = 8
"""How far beyond the chunk it waits for a trial decodes others, in chunks."""
LEAST_WAIT_S, MOST_WAIT_S = 0.001, 0.008
"""Sleeps between looks at a chunk that another trial decodes; each is twice as long as the one before."""

INDEX = np.dtype(np.int64)
Stream = TypeVar("Stream", bound=ImageStream)


@dataclass(frozen=True)
class Part:
    """What a batch has of a chunk: positions (n,), which are rows of the chunk and rows of the batch."""

    positions: NDArray[np.int64]
    of_chunk: slice
    of_batch: slice


HandOver = Callable[[Part, NDArray[np.int64], NDArray[np.uint8]], None]
"""Is given a part with the indices and images of it."""


class SharedStream:
    """A stream some of whose images other trials have decoded; its batches are those of the stream itself.

    A trial that falls further behind than the window has a stream of its own, shared with whoever is where it is;
    nobody ever waits for it. `close` gives its place up; it is given up too when the process ends, however it does.
    """

    def __init__(self, stream: ImageStream, folder: Path = MEMORY, most_bytes: int = MOST_BYTES) -> None:
        """Share the stream through a file in a folder that lies in memory.

        Raises:
            UnavailableError: there is too little memory; says how much is needed and free.
        """
        self.stream = stream
        # What is done once for all, and what each trial does by itself.
        common = needs_whole_image(stream.preprocess)
        self._common, self._own = (stream.preprocess, rgb) if common else (rgb, stream.preprocess)
        self._shape = self._common(np.zeros((1, stream.side, stream.side, 3), np.uint8)).shape[1:]
        self._chunk = _chunk_length(int(np.prod(self._shape)))
        size = self._chunk * (INDEX.itemsize + int(np.prod(self._shape)))
        path, useful = folder / segment_name(stream), -(-stream.num_images // self._chunk) + AHEAD
        self._cache = ChunkCache(path, size, min(_num_slots(path, size, most_bytes), max(LEAST_SLOTS, useful)))
        self.window = self._cache.num_slots * self._chunk
        """Positions within which trials share."""
        self.num_made = 0
        """Chunks this trial has decoded for all."""
        self.num_taken = 0
        """Chunks that others had decoded."""
        self.num_alone = 0
        """Chunks this trial has decoded, wholly or in part, for itself alone."""
        self.num_waits = 0
        """Sleeps while others decoded what it wanted."""
        self._last = -1
        self._spoilt: set[int] = set()

    @property
    def num_images(self) -> int:
        """Images in an epoch."""
        return self.stream.num_images

    @property
    def num_batches(self) -> int:
        """Batches to the end of a stream that has one."""
        return self.stream.num_batches

    def positions(self, number: int) -> NDArray[np.int64]:
        """The positions of a batch, see `ImageStream`."""
        return self.stream.positions(number)

    def close(self) -> None:
        """Give the place among the sharers back; batches can still be had."""
        self._cache.close()

    def batch(self, number: int, *, rows: slice | None = None) -> Batch:
        """Batch `number`, or those rows of it: as of the stream itself.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: there is no such batch.
        """
        images = np.empty((len(self.positions(number)[rows or slice(None)]), *self.stream.shape), np.uint8)

        def copy(of_batch: slice, part: NDArray[np.uint8]) -> None:
            images[of_batch] = part

        labels, indices = self.deliver(number, copy, rows=rows)
        return Batch(images, labels, indices)

    def deliver(
        self, number: int, take: Take, *, rows: slice | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The labels and indices of a batch, or of those rows of it, whose images are handed over where they lie.

        Some may be handed over twice: others have made room for further images meanwhile, and the second time counts.

        Raises:
            RaysweepError: an image cannot be decoded.
            IndexError: there is no such batch.
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
            self._count(chunk, taken.get(chunk))
        return self.stream.labels[ids], ids

    def _parts(self, positions: NDArray[np.int64]) -> Iterator[tuple[int, Part]]:
        """Chunk and part of the batch, by chunk; positions are equally far apart."""
        # Number by number: there are few, and in a decoding processor's cache there is no room for NumPy's code.
        begin, end, step = int(positions[0]), int(positions[-1]) + 1, int(np.diff(positions[:2]).sum()) or 1
        last = 0
        for chunk in range(begin // self._chunk, -(-end // self._chunk)):
            start = chunk * self._chunk
            first, last = last, -(-(min(start + self._chunk, end) - begin) // step)
            if first < last:
                row = begin + first * step - start
                of_batch = slice(first, last)
                yield chunk, Part(positions[of_batch], slice(row, row + (last - first - 1) * step + 1, step), of_batch)

    def _count(self, chunk: int, slot: Slot | None) -> None:
        if chunk != self._last:  # else the batch before this one had its other part
            self._last = chunk
            self.num_alone += slot is None
            self.num_taken += slot is not None and not slot.is_own

    def _take(self, parts: Mapping[int, Part], hand_over: HandOver) -> dict[int, Slot]:
        """Take what is in the cache or can be put there; returns the slots by chunk. Fewer: the rest cannot be had."""
        taken: dict[int, Slot] = {}
        given_up = set(self._spoilt)
        wait_s = LEAST_WAIT_S
        try:
            while wanted := [chunk for chunk in parts if chunk not in taken and chunk not in given_up]:
                ready, missing = self._cache.look(wanted)
                for slot in ready:
                    part, (ids, images) = parts[slot.chunk], self._whole(slot)
                    hand_over(part, ids[part.of_chunk], images[part.of_chunk])
                if ready:
                    taken |= {slot.chunk: slot for slot in self._cache.still_held(ready)}
                if missing is None:
                    continue
                if missing.answer is Answer.FULL or (missing.answer is Answer.YOURS and not self._make(missing)):
                    given_up.add(missing.chunk)
                elif missing.answer is Answer.BUSY and not ready and not self._make_ahead(missing.chunk):
                    self.num_waits += 1
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, MOST_WAIT_S)
        except UnavailableError:
            pass
        return taken

    def _make_ahead(self, chunk: int) -> bool:
        """Decode one of the next chunks, if there is one that nobody has decoded."""
        last = chunk + min(AHEAD, self._cache.num_slots // 4) + 1
        if self.stream.end is not None:
            last = min(last, -(-self.stream.end // self._chunk))
        slot = self._cache.claim_ahead([number for number in range(chunk + 1, last) if number not in self._spoilt])
        return slot is not None and self._make(slot)

    def _make(self, slot: Slot) -> bool:
        """Decode a chunk for all; returns whether that went well, and if not nobody has to wait for it."""
        first, last = slot.chunk * self._chunk, (slot.chunk + 1) * self._chunk
        positions = np.arange(first, last if self.stream.end is None else min(last, self.stream.end))
        ids, images = self._whole(slot)
        rows = slice(len(positions))
        try:
            ids[rows], _ = self._cut(positions, out=images[rows])
        except RaysweepError:
            # Who comes to the damaged image is told then; the rest of the chunk each trial decodes alone.
            self._spoilt.add(slot.chunk)
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
        """Indices and images of these positions, as they lie in the cache; the images in `out`, if that is given."""
        stream, crops = self.stream, self.stream.crops(positions)
        cut = partial(stream.file.cut, crops, stream.side, stream.pad, stream.pool)
        if self._common is rgb:
            return crops.ids, cut(out=out)
        images = cut(self._common)
        if out is not None:
            out[:] = images
        return crops.ids, images

    def _whole(self, slot: Slot) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """What a slot holds: the indices of images in their file (n,), and the images (n, side, side, C)."""
        memory = self._cache.memory(slot)
        start = self._chunk * INDEX.itemsize
        return memory[:start].view(INDEX), memory[start:].reshape(self._chunk, *self._shape)


def share(stream: Stream) -> Stream | SharedStream:
    """The stream, shared with other trials of this machine where that is worth it and there is memory for it."""
    if not is_worth_sharing(stream):
        return stream
    try:
        return SharedStream(stream, MEMORY)
    except (UnavailableError, OSError) as error:  # a system without Linux's folders, say
        _warn_once(str(error))
        return stream


def is_worth_sharing(stream: ImageStream) -> bool:
    """Whether an image costs more to make than to copy.

    Not where crops are cut as they are from stored pixels: those lie in a mapped file, which is shared as it is.
    """
    return stream.file.is_encoded or stream.resamples or needs_whole_image(stream.preprocess)


def segment_name(stream: ImageStream) -> str:
    """The name of the memory that a stream shares: of the user and all that decides the pixels."""
    status = stream.file.beton.path.stat()
    # The file itself, not its manifest: of two copies one may be damaged.
    file = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    common = stream.preprocess if needs_whole_image(stream.preprocess) else rgb
    key = (CHUNK, CHUNK_BYTES, file, stream.pixels_key(), common.__module__, common.__qualname__, _code())
    # Among processes that see each other: a container's may be unable to tell who of another one's is alive.
    processes = Path("/proc/self/ns/pid").stat().st_ino
    return f"raysweep-{os.geteuid()}-{processes}-{hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()}"


@cache
def _code() -> tuple[str, str]:
    """What turns files into pixels: this package's sources, and the environment with the libraries they call."""
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
    """For how many chunks there is room, unless others have made it already.

    Raises:
        UnavailableError: there is too little memory.
    """
    status = os.statvfs(path.parent)
    free = status.f_bavail * status.f_frsize
    num_slots = min(most_bytes, free // 4) // chunk_bytes
    if num_slots < LEAST_SLOTS and not path.exists():
        raise UnavailableError(
            f"sharing them takes {LEAST_SLOTS * chunk_bytes / 2**20:.0f} MiB, and may take up to a quarter of what is "
            f"free in {path.parent}, {free / 2**20:.0f} MiB, and {most_bytes / 2**20:.0f} MiB at most"
        )
    return max(LEAST_SLOTS, num_slots)


_warned = threading.Event()


def _warn_once(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        warnings.warn(f"each trial decodes its images by itself: {reason}.", RuntimeWarning, stacklevel=3)
