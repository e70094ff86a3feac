"""What reading costs 1, 2, 4 and 8 trials that need the same images at once, each by itself or sharing.

Generated images of 144 px stored as JPEG, a random crop of 128 px and a mirror each, batches of 256 as uint8; each
trial is a process that starts warm, reads four epochs and does nothing else. Images are handed to it where they lie, as
they are to what normalises them, and it looks at a pixel of each; one side copies them besides. The first table is CPU
seconds of all trials together, joining the shared memory apart from reading; what is decoded ahead and never read is
counted; beside it the memory that they hold together after the last batch, which is their most: their own, and of the
stream that they share, which each maps but which is there once. The second is images per second of all trials together
by the clock, from the first that begins to the last that ends.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import read_manifest
from raysweep.data.shared_stream import SharedStream
from raysweep.data.stream import TrainStream
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.write_sets import write_images

IMAGES, STORED, CROP, BATCH, EPOCHS, REPEATS = 2048, 144, 128, 256, 4, 5
TRIALS = (1, 2, 4, 8)
CONTEXT = multiprocessing.get_context("spawn")
Barriers = Mapping[int, Barrier]
"""Number of trials -> where so many wait for each other."""


@dataclass(frozen=True)
class Reading:
    """One trial's reading: CPU seconds of joining and of reading, when it began and ended, and memory at its end."""

    join_s: float
    read_s: float
    began: float
    ended: float
    own_mib: float
    shared_mib: float
    """A trial's part of it: the parts of all that map it add up to what is there."""


ALONE, SHARING, COPYING = "by themselves", "sharing", "sharing, copied"
"""Ways to read."""


def look(_: slice, images: NDArray[np.uint8]) -> None:
    """At a pixel of each."""
    images[:, 0, 0, 0].sum()


def read(folder: Path, trials: int, way: str, seed: int, barriers: Barriers) -> Reading:
    """Read the epochs of a seed, together with the others."""
    file = ImageFile.open(folder, read_manifest(folder), "train")
    private = TrainStream(file, side=CROP, batch_size=BATCH, seed=seed)
    private.batch(EPOCHS * IMAGES)  # loads the compiled code; none of the batches that are read
    before = time.process_time()
    stream = private if way == ALONE else SharedStream(private)
    take = stream.batch if way == COPYING else partial(stream.deliver, take=look)
    joined = time.process_time()
    barriers[trials].wait()
    began, start = time.time(), time.process_time()
    for number in range(EPOCHS * IMAGES // BATCH):
        take(number)
    read_s, ended = time.process_time() - start, time.time()
    barriers[trials].wait()  # all still hold what they share
    own_mib, shared_mib = memory_mib()
    barriers[trials].wait()
    if isinstance(stream, SharedStream):
        stream.close()
    return Reading(joined - before, read_s, began, ended, own_mib, shared_mib)


def memory_mib() -> tuple[float, float]:
    """This process's own memory, and its part of memory in /dev/shm, by the kernel's proportional count."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines())
    found = {words[0]: int(words[1]) / 1024 for words in lines if words[0].startswith("Pss")}
    return found["Pss_Anon:"], found["Pss_Shmem:"]


def serve(connection: Connection, folder: Path, barriers: Barriers) -> None:
    """Read whenever asked to."""
    with suppress(EOFError):  # nobody is left to ask
        while True:
            trials, way, seed = connection.recv()
            connection.send(read(folder, trials, way, seed, barriers))


class Readers:
    """Eight processes, of which as many read as a measurement wants."""

    def __init__(self, folder: Path) -> None:
        """Start them; they end with this process."""
        self._barriers = barriers = {count: CONTEXT.Barrier(count) for count in TRIALS}
        pipes = [CONTEXT.Pipe() for _ in range(max(TRIALS))]
        self._connections = [ours for ours, _ in pipes]
        for _, theirs in pipes:
            CONTEXT.Process(target=serve, args=(theirs, folder, barriers), daemon=True).start()
        self._seeds = iter(range(1_000_000))
        self.images_per_s: dict[str, float] = {}
        self.memory_mib: dict[str, dict[str, float]] = {}
        """Both of the last reading on each side."""

    def read(self, trials: int, way: str) -> list[Reading]:
        """What each of so many trials needed, all reading the same images at once, others than the last time."""
        seed = next(self._seeds)
        for connection in self._connections[:trials]:
            connection.send((trials, way, seed))
        found: list[Reading] = [connection.recv() for connection in self._connections[:trials]]
        wall_s = max(reading.ended for reading in found) - min(reading.began for reading in found)
        self.images_per_s[f"{trials} {way}"] = trials * EPOCHS * IMAGES / wall_s
        self.memory_mib[f"{trials} {way}"] = {
            "own MiB": sum(reading.own_mib for reading in found),
            "shared MiB": sum(reading.shared_mib for reading in found),
        }
        return found


@contextmanager
def readers() -> Iterator[Readers]:
    """The processes, and their images in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        write_images(GeneratedSource(IMAGES, 10, side=STORED), Path(folder) / "images", encoding="jpg")
        found = Readers(Path(folder) / "images")
        found.read(max(TRIALS), ALONE)  # all of them warm
        yield found


def sides(found: Readers) -> dict[str, Callable[[], float]]:
    """CPU seconds of each side, and after each what the trials together reached by the clock."""
    joining: list[float] = []

    def cpu_s(trials: int, way: str) -> float:
        readings = found.read(trials, way)
        joining[:] = [reading.join_s for reading in readings]
        return sum(reading.read_s for reading in readings)

    made: dict[str, Callable[[], float]] = {}
    for trials, way in [*product(TRIALS, (ALONE, SHARING)), (max(TRIALS), COPYING)]:
        side = f"{trials} {way}"
        made[side] = partial(cpu_s, trials, way)
        made[f"{side}: images/s"] = partial(found.images_per_s.__getitem__, side)
    made[f"{max(TRIALS)} joining"] = lambda: sum(joining)
    return made


def main() -> None:
    """Measure all sides in turn."""
    with readers() as found:
        rows = measure(sides(found), REPEATS)
    speed = [row for row in rows if row.side.endswith("images/s")]
    cost = [row for row in rows if row not in speed]
    medians = {row.side: row.median for row in rows}
    most = max(TRIALS)
    one, apart, together, copied = f"1 {ALONE}", f"{most} {ALONE}", f"{most} {SHARING}", f"{most} {COPYING}"
    pairs = [(together, one), (copied, one), (f"1 {SHARING}", one), (apart, together)]
    ratios = {f"{a} over {b}": medians[a] / medians[b] for a, b in pairs}
    report("shared_stream", "CPU s", cost, ratios, found.memory_mib)
    a, b = f"{together}: images/s", f"{apart}: images/s"
    report("shared_stream_speed", "images/s", speed, {f"{a} over {b}": medians[a] / medians[b]})


if __name__ == "__main__":
    main()
