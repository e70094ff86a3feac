"""The cost of reading for 1, 2, 4 and 8 trials that need the same images at once, separately or sharing.

Generated images of 144 px stored as JPEG are cropped to 128 px at random, mirrored at random, and returned in batches
of 256 as uint8. Each trial is a warmed-up process that reads four epochs and does nothing else. It receives the images
uncopied, as normalisation does, and reads a pixel of each; one side copies them too. The first table has the CPU
seconds of all trials together, with joining the shared memory separate from reading and including chunks that were
decoded ahead but never read. It also has the trials' memory after the last batch, which is their peak: private memory,
and the shared stream, which each trial maps but which exists once. The second table has the images per second of all
trials together in wall-clock time, from the first start to the last end.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, product
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._harness import generated_images, measure, ratios, report
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import read_manifest
from raysweep.data.shared_stream import SharedStream
from raysweep.data.stream import TrainStream

IMAGES, CROP, BATCH, EPOCHS, REPEATS = 2048, 128, 256, 4, 5
TRIALS = (1, 2, 4, 8)
MOST = max(TRIALS)
CONTEXT = multiprocessing.get_context("spawn")
Barriers = Mapping[int, Barrier]
"""For each number of trials, the barrier at which they wait for each other."""


@dataclass(frozen=True)
class Reading:
    """One trial's CPU seconds of joining and of reading, its start and end times, and its memory at the end."""

    join_s: float
    read_s: float
    began: float
    ended: float
    own_mib: float
    shared_mib: float
    """A trial's proportional share: the shares of all trials add up to the whole."""


PRIVATE, SHARING, COPYING = "by themselves", "sharing", "sharing, copied"
"""Ways to read."""


def read_pixels(_: slice, images: NDArray[np.uint8]) -> None:
    """Read a pixel of each image."""
    images[:, 0, 0, 0].sum()


def read(folder: Path, trials: int, way: str, seed: int, barriers: Barriers) -> Reading:
    """Read the epochs of a seed, at the same time as the other trials."""
    file = ImageFile.open(folder, read_manifest(folder), "train")
    private = TrainStream(file, side=CROP, batch_size=BATCH, seed=seed)
    private.batch(EPOCHS * IMAGES)  # warms up; this batch is not read again
    before = time.process_time()
    stream = private if way == PRIVATE else SharedStream(private)
    take = stream.batch if way == COPYING else partial(stream.deliver, take=read_pixels)
    joined = time.process_time()
    barriers[trials].wait()
    began, start = time.time(), time.process_time()
    for number in range(EPOCHS * IMAGES // BATCH):
        take(number)
    read_s, ended = time.process_time() - start, time.time()
    barriers[trials].wait()  # all trials still hold the shared memory
    own_mib, shared_mib = memory_mib()
    barriers[trials].wait()
    if isinstance(stream, SharedStream):
        stream.close()
    return Reading(joined - before, read_s, began, ended, own_mib, shared_mib)


def memory_mib() -> tuple[float, float]:
    """This process's private memory, and its proportional share of memory in /dev/shm."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines())
    found = {words[0]: int(words[1]) / 1024 for words in lines if words[0].startswith("Pss")}
    return found["Pss_Anon:"], found["Pss_Shmem:"]


def serve(connection: Connection, folder: Path, barriers: Barriers) -> None:
    """Read at each request."""
    with suppress(EOFError):  # the benchmark has ended
        while True:
            trials, way, seed = connection.recv()
            connection.send(read(folder, trials, way, seed, barriers))


class Readers:
    """Eight processes, some or all of which read in a measurement."""

    def __init__(self, folder: Path) -> None:
        """Start them; they end with this process."""
        self._barriers = barriers = {count: CONTEXT.Barrier(count) for count in TRIALS}
        pipes = [CONTEXT.Pipe() for _ in range(MOST)]
        self._connections = [ours for ours, _ in pipes]
        for _, theirs in pipes:
            CONTEXT.Process(target=serve, args=(theirs, folder, barriers), daemon=True).start()
        self._seeds = count()
        self.latest: dict[str, list[Reading]] = {}
        """Side -> its latest readings."""

    def read(self, trials: int, way: str) -> float:
        """Let `trials` processes read the same images at once, in a new order; returns their CPU seconds of reading."""
        seed = next(self._seeds)
        for connection in self._connections[:trials]:
            connection.send((trials, way, seed))
        found: list[Reading] = [connection.recv() for connection in self._connections[:trials]]
        self.latest[f"{trials} {way}"] = found
        return sum(reading.read_s for reading in found)

    def images_per_s(self, side: str) -> float:
        """The images per second of all trials together in the latest reading."""
        found = self.latest[side]
        wall_s = max(reading.ended for reading in found) - min(reading.began for reading in found)
        return len(found) * EPOCHS * IMAGES / wall_s

    def join_s(self, side: str) -> float:
        """The CPU seconds of joining in the latest reading."""
        return sum(reading.join_s for reading in self.latest[side])

    def memory_mib(self) -> dict[str, dict[str, float]]:
        """The memory of each side in its latest reading."""
        return {
            side: {"own MiB": sum(one.own_mib for one in found), "shared MiB": sum(one.shared_mib for one in found)}
            for side, found in self.latest.items()
        }


def sides(readers: Readers) -> dict[str, Callable[[], float]]:
    """Measurements of the CPU seconds of each side, each followed by the images per second of its trials."""
    made: dict[str, Callable[[], float]] = {}
    for trials, way in [*product(TRIALS, (PRIVATE, SHARING)), (MOST, COPYING)]:
        side = f"{trials} {way}"
        made[side] = partial(readers.read, trials, way)
        made[f"{side}: images/s"] = partial(readers.images_per_s, side)
    made[f"{MOST} joining"] = partial(readers.join_s, f"{MOST} {COPYING}")
    return made


def main() -> None:
    """Measure all sides in turn."""
    with generated_images(IMAGES) as folder:
        readers = Readers(folder / "jpg")
        readers.read(MOST, PRIVATE)  # warms all of them up
        rows = measure(sides(readers), REPEATS)
    speed = [row for row in rows if row.side.endswith("images/s")]
    cost = [row for row in rows if row not in speed]
    one, apart, together, copied = f"1 {PRIVATE}", f"{MOST} {PRIVATE}", f"{MOST} {SHARING}", f"{MOST} {COPYING}"
    pairs = [(together, one), (copied, one), (f"1 {SHARING}", one), (apart, together)]
    report("shared_stream", "CPU s", cost, ratios(cost, *pairs), readers.memory_mib())
    speeds = f"{together}: images/s", f"{apart}: images/s"
    report("shared_stream_speed", "images/s", speed, ratios(speed, speeds))


if __name__ == "__main__":
    main()
