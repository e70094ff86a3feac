"""Images per second of the training stream by the operation that follows decoding, on one core.

Generated images of 144 px stored as JPEG (like a set of ImageNet's size), crops of 128 px, batches of 256. Plain RGB
means decoding, cropping and mirroring; every other side does the same plus its own operation.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report, seconds
from raysweep.data.image_file import ImageFile
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import TrainStream
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.write_sets import write_images

IMAGES, BATCH, REPEATS = 1024, 256, 7
SCALES = tuple(side / 144 for side in (*(144,) * 5, 256, 256, 188, 188, 130))
"""The paper's sizes at their frequencies; nine in ten are those of the stored image or larger."""
PLAIN = "rgb"


@contextmanager
def generated() -> Iterator[ImageFile]:
    """The training images, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_images(GeneratedSource(IMAGES, 10, side=144), Path(folder) / "images", encoding="jpg")
        yield ImageFile.open(Path(folder) / "images", manifest, "train")


def side(file: ImageFile, **changes: Any) -> Callable[[], float]:
    """A measurement of the images per second of an epoch, a new epoch each time."""
    stream = TrainStream(file, side=128, batch_size=BATCH, seed=0, **changes)
    batches = IMAGES // BATCH
    epoch = iter(range(1_000_000))
    stream.batch(0)  # warms up: imports OpenCV

    def read() -> None:
        first = next(epoch) * batches
        for k in range(first, first + batches):
            stream.batch(k)

    return lambda: IMAGES / seconds(read)


def main() -> None:
    """Measure all sides in turn."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with generated() as file:
        sides = {entry.name: side(file, preprocess=entry.make) for entry in PREPROCESSINGS}
        sides |= {"multiscale": side(file, scales=SCALES), "rotation 0 to 5": side(file, rotation=5.0)}
        rows = measure(sides, REPEATS)
    medians = {row.side: row.median for row in rows}
    ratios = {f"{name} over {PLAIN}": value / medians[PLAIN] for name, value in medians.items() if name != PLAIN}
    report("preprocessing", "images/s", rows, ratios)


if __name__ == "__main__":
    main()
