"""Images per second of `data write` for one size and for three in one pass, against three passes and FFCV's writer.

The input is JPEG files of the most frequent sizes of ImageNet (around 500x375) with about as many bytes, in class
folders on this machine's disk and in its page cache; they are stored as JPEG of quality 90. All sides decode with
Pillow, resize and encode with OpenCV, and use all cores: raysweep in separate workers, FFCV's writer in forked ones.
The latter is fed by our decoder and saved the check of all images that it would need, since it hangs at a bad one. The
times include everything that a user waits for, such as the start of processes and checksums. Images per core-second
count the CPU time of this process and of all its children.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._harness import Row, measure, report
from raysweep.data.opencv import Pixels
from raysweep.write.decode import to_rgb
from raysweep.write.sources import open_source
from raysweep.write.sources.base import Samples
from raysweep.write.sources.generated import CLASSES, draw
from raysweep.write.write_sets import write_sets

IMAGES, REPEATS = 1500, 5
SIDE, ALSO = 144, ("80", "256")
SIZES = ((375, 500), (500, 375), (333, 500), (500, 333), (375, 500), (400, 400), (281, 500), (240, 320))
"""Height and width, px, in turn."""


def make_picture(number: int, path: Path) -> None:
    """A picture with noise."""
    random = np.random.default_rng(number)
    height, width = SIZES[number % len(SIZES)]
    pixels = cv2.resize(draw(number % len(CLASSES), 96, random), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 20, pixels.shape)
    cv2.imwrite(str(path), (pixels + noise).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def make_folder(root: Path, images: int) -> int:
    """Create a class folder with this many training images and ten test images; returns its size in bytes."""
    paths = [
        root / split / f"class{number % len(CLASSES)}" / f"{number:07}.JPEG"
        for split, count in (("train", images), ("val", 10))
        for number in range(count)
    ]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(make_picture, range(len(paths)), paths, chunksize=50):
            pass
    return sum(path.stat().st_size for path in paths)


class Decoded:
    """Pixels and labels, indexed by FFCV's writer."""

    def __init__(self, samples: Samples) -> None:
        """`samples` whose pictures are decoded and resized on access."""
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Pixels, int]:
        return to_rgb(self.samples.picture(index), SIDE), int(self.samples.labels[index])


def write_by_ffcv(root: Path, out: Path) -> None:
    """Write both splits with FFCV's DatasetWriter."""
    writer: Any = importlib.import_module("ffcv.writer")
    fields: Any = importlib.import_module("ffcv.fields")
    writer.tqdm = partial(writer.tqdm, disable=True)
    out.mkdir()
    for split, samples in open_source(str(root)).splits.items():
        kinds = {"image": fields.RGBImageField(write_mode="jpg", jpeg_quality=90), "label": fields.IntField()}
        workers = len(os.sched_getaffinity(0))
        writer.DatasetWriter(str(out / f"{split}.beton"), kinds, num_workers=workers).from_indexed_dataset(
            Decoded(samples), chunksize=100
        )
        for process in multiprocessing.active_children():
            process.join()  # FFCV does not wait for them, so their time would not be counted


def write_by_us(root: Path, out: Path, also: tuple[str, ...] = ()) -> None:
    """Write all sizes in one pass."""
    write_sets(open_source(str(root)), out, side=SIDE, also=also, encoding="jpg")


def write_in_passes(root: Path, out: Path) -> None:
    """Write each size in a pass of its own."""
    out.mkdir()
    for side in (SIDE, *map(int, ALSO)):
        write_sets(open_source(str(root)), out / str(side), side=side, encoding="jpg")


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def side(work: Callable[[Path, Path], None], root: Path, per_core: list[float]) -> Callable[[], float]:
    """A function that writes to a new folder and returns images per second; it appends images per core-second."""

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            start, before = time.perf_counter(), cpu_seconds()
            work(root, Path(folder) / "out")
            wall, spent = time.perf_counter() - start, cpu_seconds() - before
        per_core.append((IMAGES + 10) / spent)
        return (IMAGES + 10) / wall

    return run


def main() -> None:
    """Measure all sides in turn."""
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    cv2.setNumThreads(1)
    work: dict[str, Callable[[Path, Path], None]] = {
        "FFCV's DatasetWriter, 144 px": write_by_ffcv,
        "raysweep, 144 px": write_by_us,
        "raysweep, 144 + 80 + 256 px, one pass": partial(write_by_us, also=ALSO),
        "raysweep, 144 + 80 + 256 px, three passes": write_in_passes,
    }
    per_core: dict[str, list[float]] = {name: [] for name in work}
    importlib.import_module("ffcv")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "pictures"
        size = make_folder(root, IMAGES)
        print(f"{IMAGES + 10:,} pictures of {size / (IMAGES + 10) / 1000:.0f} kB on average")
        rows = measure({name: side(do, root, per_core[name]) for name, do in work.items()}, REPEATS)
    cores = [Row.of(f"{name}, a core", found) for name, found in per_core.items()]
    ffcv, one, three, passes = (row.median for row in rows)
    ratios = {
        "one size: raysweep over FFCV's writer": one / ffcv,
        "three sizes: one pass over three passes": three / passes,
        "one pass for three sizes: its time over that for one size": one / three,
    }
    report("writing", "images/s", rows + cores, ratios)


if __name__ == "__main__":
    main()
