"""Images/s of the data path on one core: raysweep beside PIL and OpenCV, and the limits of the machine.

Generated images of 144 px, a random crop of 128 px and a mirror each, batches of 256 as uint8. The limit of JPEG is
libjpeg-turbo's decoder alone, in FFCV's build; that of stored pixels is a copy of as many bytes from random places.
Every side starts warm. This process is pinned to one core. FFCV's own loader is not among the sides: it crops pictures
of several sizes only by resizing them.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report, seconds
from raysweep.data.generated import GeneratedSource
from raysweep.data.image_file import ImageFile
from raysweep.data.kernels import _library, scratch
from raysweep.data.stream import TrainStream
from raysweep.data.write import write_images

IMAGES, STORED, CROP, BATCH, REPEATS = 2048, 144, 128, 256, 7
Pixels = NDArray[np.uint8]


@contextmanager
def generated() -> Iterator[dict[str, ImageFile]]:
    """The training images as JPEG and as pixels, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as name:
        files = {}
        for encoding in ("jpg", "raw"):
            folder = Path(name) / encoding
            manifest = write_images(GeneratedSource(IMAGES, 10, side=STORED), folder, encoding=encoding)
            files[encoding] = ImageFile.open(folder, manifest, "train")
        yield files


def rate(work: Callable[[], object]) -> Callable[[], float]:
    """Images per second of work that handles all images once; called once beforehand."""
    work()
    return lambda: IMAGES / seconds(work)


def encoded(file: ImageFile) -> list[bytes]:
    """Every JPEG as it is stored."""
    beton = file.beton
    spans = zip(beton.starts.tolist(), beton.sizes.tolist(), strict=True)
    return [beton.store[start : start + size].tobytes() for start, size in spans]


def decode_pil(picture: bytes) -> Pixels:
    """RGB pixels by PIL."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def decode_opencv(picture: bytes) -> Pixels:
    """RGB pixels by OpenCV."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def one_by_one(pictures: list[bytes], decode: Callable[[bytes], Pixels]) -> Callable[[], object]:
    """Decode, crop, mirror and stack picture by picture, as a data set class does."""
    random = np.random.default_rng(0)

    def cropped(picture: bytes) -> Pixels:
        pixels = decode(picture)
        top, left = (random.integers(0, size - CROP + 1) for size in pixels.shape[:2])
        crop = pixels[top : top + CROP, left : left + CROP]
        return crop[:, ::-1] if random.random() < 0.5 else crop

    def read() -> None:
        for first in range(0, IMAGES, BATCH):
            np.stack([cropped(picture) for picture in pictures[first : first + BATCH]])

    return read


def decoding_alone(file: ImageFile) -> Callable[[], object]:
    """FFCV's libjpeg-turbo into one buffer."""
    beton, room = file.beton, scratch(file.scratch_pixels)
    store, target = beton.store.ctypes.data, room.ctypes.data
    pictures = zip(*(part.tolist() for part in (beton.starts, beton.sizes, beton.heights, beton.widths)), strict=True)
    calls = [
        (store + start, size, height, width, target, height, width, 0, 0, 1, 1, False, False)
        for start, size, height, width in pictures
    ]
    decode = _library.imdecode
    wide, narrow = ctypes.c_uint64, ctypes.c_uint32
    decode.argtypes = [wide, wide, narrow, narrow, wide, *[narrow] * 6, ctypes.c_bool, ctypes.c_bool]

    def read() -> None:
        for call in calls:
            decode(*call)
        assert room.any()  # and so is still there

    return read


def copying_alone(file: ImageFile) -> Callable[[], object]:
    """As many bytes as a crop has, from the place of each image in random order."""
    order = np.random.default_rng(0).permutation(IMAGES)
    starts, size = file.beton.starts[order].astype(np.int64).tolist(), CROP * CROP * 3
    batch = np.empty((BATCH, size), np.uint8)

    def read() -> None:
        for k, start in enumerate(starts):
            batch[k % BATCH] = file.beton.store[start : start + size]

    return read


def ours(file: ImageFile) -> Callable[[], object]:
    """An epoch of the training stream, another one each time."""
    stream, epoch = TrainStream(file, side=CROP, batch_size=BATCH, seed=0), iter(range(1_000_000))

    def read() -> None:
        first = next(epoch) * (IMAGES // BATCH)
        for k in range(first, first + IMAGES // BATCH):
            stream.batch(k)

    return read


def main() -> None:
    """Measure all sides in turn."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    with generated() as files:
        jpg, raw, pictures = files["jpg"], files["raw"], encoded(files["jpg"])
        work = {
            "PIL": one_by_one(pictures, decode_pil),
            "OpenCV": one_by_one(pictures, decode_opencv),
            "raysweep, JPEG": ours(jpg),
            "limit: decoding alone": decoding_alone(jpg),
            "raysweep, pixels": ours(raw),
            "limit: copying alone": copying_alone(raw),
        }
        rows = measure({side: rate(read) for side, read in work.items()}, REPEATS)
    medians = {row.side: row.median for row in rows}
    pairs = [
        ("raysweep, JPEG", "OpenCV"),
        ("raysweep, JPEG", "limit: decoding alone"),
        ("raysweep, pixels", "limit: copying alone"),
    ]
    report("data_path", "images/s", rows, {f"{a} over {b}": medians[a] / medians[b] for a, b in pairs})


if __name__ == "__main__":
    main()
