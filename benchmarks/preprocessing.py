"""Images per second of the training stream by the operation that follows decoding, on one core.

Generated images of 144 px stored as JPEG (like a set of ImageNet's size), crops of 128 px, batches of 256. Plain RGB
means decoding, cropping and mirroring; every other side does the same plus its own operation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from typing import Any

from benchmarks._harness import generated_images, measure, ratios, report, seconds
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import read_manifest
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import TrainStream

IMAGES, BATCH, REPEATS = 1024, 256, 7
SCALES = tuple(side / 144 for side in (*(144,) * 5, 256, 256, 188, 188, 130))
"""The paper's sizes at their frequencies; nine in ten are those of the stored image or larger."""
PLAIN = "rgb"


def side(file: ImageFile, **changes: Any) -> Callable[[], float]:
    """A measurement of the images per second of an epoch, a new epoch each time."""
    stream = TrainStream(file, side=128, batch_size=BATCH, seed=0, **changes)
    numbers = count()
    stream.batch(0)  # warms up: imports OpenCV

    def read() -> None:
        for _ in range(IMAGES // BATCH):
            stream.batch(next(numbers))

    return lambda: IMAGES / seconds(read)


def main() -> None:
    """Measure all sides in turn."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with generated_images(IMAGES) as folder:
        file = ImageFile.open(folder / "jpg", read_manifest(folder / "jpg"), "train")
        sides = {entry.name: side(file, preprocess=entry.make) for entry in PREPROCESSINGS}
        sides |= {"multiscale": side(file, scales=SCALES), "rotation 0 to 5": side(file, rotation=5.0)}
        rows = measure(sides, REPEATS)
    report("preprocessing", "images/s", rows, ratios(rows, *((name, PLAIN) for name in sides if name != PLAIN)))


if __name__ == "__main__":
    main()
