"""Every image decoded once before FFCV sees any: lists what cannot be stored, knows how much space the files take."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from raysweep.data.decode import BadImageError, to_rgb
from raysweep.data.opencv import Pixels
from raysweep.data.sources.base import Samples
from raysweep.errors import RaysweepError

CHUNK = 100
"""Images a worker takes at a time."""
RAW_BELOW = 1 << 30
"""`auto` stores pixels as they are when all of them together have fewer bytes."""
MIN_PAGE = 2 << 20
"""FFCV's own limit."""
RATIO_EVERY = 64
"""Every so many images one is encoded while checking, to tell how much space JPEG files will take."""
LISTED = 10


@dataclass(frozen=True)
class Job:
    """What to write where."""

    splits: Mapping[str, Samples]
    folder: str
    side: int | None
    rescale: str
    encoding: str
    quality: int
    skip_bad: bool
    workers: int
    free_bytes: int
    """Disk space there is."""


@dataclass(frozen=True)
class Checked:
    """What decoding every image of a split has shown."""

    good: NDArray[np.int64]
    sides: NDArray[np.int64]
    """(N, 2) height and width of the good ones."""
    bad: list[str]
    jpg_ratio: float
    """Bytes as JPEG over bytes decoded."""


class Examined:
    """A split as FFCV's workers and our own check see it."""

    def __init__(self, samples: Samples, job: Job) -> None:
        """`samples` in the sides that `job` wants."""
        self.samples = samples
        self.job = job

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Pixels, int]:
        return to_rgb(self.samples.picture(index), self.job.side, self.job.rescale), self.samples.label(index)

    def check(self, index: int) -> tuple[int, int, int, str]:
        """Height, width, bytes as JPEG (0: not tried), and what is wrong with an image."""
        try:
            pixels = to_rgb(self.samples.picture(index), self.job.side, self.job.rescale)
        except (BadImageError, OSError) as error:
            return 0, 0, 0, f"{self.samples.name(index)} ({error})"
        encoded = 0
        if index % RATIO_EVERY == 0 and self.job.encoding != "raw":
            encoded = len(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self.job.quality])[1])
        return pixels.shape[0], pixels.shape[1], encoded, ""


_examined: Examined
"""In a checking worker: its split, inherited by fork."""


def _check_chunk(first: int) -> list[tuple[int, int, int, str]]:
    return [_examined.check(index) for index in range(first, min(first + CHUNK, len(_examined)))]


def check_split(examined: Examined, progress: Callable[[int], None]) -> Checked:
    """Decode every image of a split.

    Raises:
        RaysweepError: a picture that kills the decoder.
    """
    global _examined
    _examined = examined
    examined.check(0)  # what it reads once is then there before the workers are forked
    firsts = range(0, len(examined), CHUNK)
    found: list[tuple[int, int, int, str]] = []
    fork = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(processes(examined.job, len(examined)), fork) as pool:
            for chunk in pool.map(_check_chunk, firsts):
                found += chunk
                progress(len(chunk))
    except BrokenProcessPool:
        raise RaysweepError(
            f"a worker that decodes images died at about {examined.samples.name(min(len(found), len(examined) - 1))}: "
            "look for a damaged image there, or for too little memory (fewer --workers need less)."
        ) from None
    return _sum_up(found)


def _sum_up(found: list[tuple[int, int, int, str]]) -> Checked:
    good = np.array([index for index, row in enumerate(found) if not row[3]], np.int64)
    table = np.array([row[:3] for row in found if not row[3]], np.int64).reshape(-1, 3)
    tried = table[table[:, 2] > 0]
    ratio = float(tried[:, 2].sum() / (tried[:, 0] * tried[:, 1] * 3).sum()) if len(tried) else 1.0
    return Checked(good, table[:, :2], [row[3] for row in found if row[3]], ratio)


def processes(job: Job, images: int) -> int:
    """Workers for so many images: none that would have nothing to do."""
    return max(1, min(job.workers, -(-images // CHUNK)))


def refuse_bad(job: Job, checked: Mapping[str, Checked]) -> None:
    """Refuse images that cannot be stored, if they are not to be left out.

    Raises:
        RaysweepError: lists them.
    """
    bad = [name for found in checked.values() for name in found.bad]
    if bad and not job.skip_bad:
        more = f"\n  and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
        images = sum(map(len, job.splits.values()))
        raise RaysweepError(
            f"{len(bad)} of {images:,} images cannot be stored:\n  " + "\n  ".join(bad[:LISTED]) + more + "\n"
            "Mend or remove them, or leave them out with --skip-bad."
        )
    for split, found in checked.items():
        if not len(found.good):
            raise RaysweepError(f"no {split} image can be stored: " + ", ".join(found.bad[:3]))


def choose_encoding(job: Job, checked: Mapping[str, Checked]) -> str:
    """jpg or raw; where it is left to us raw for sets of less than a GiB, which any machine holds in memory."""
    if job.encoding != "auto":
        return job.encoding
    return "raw" if sum(map(_decoded, checked.values())) < RAW_BELOW else "jpg"


def _decoded(found: Checked) -> int:
    return int(found.sides.prod(axis=1).sum()) * 3


def check_space(job: Job, checked: Mapping[str, Checked], encoding: str) -> None:
    """Refuse to begin what the disk cannot hold; FFCV would wait for ever on a full one.

    Raises:
        RaysweepError: names the space needed and the space there is.
    """
    need = 0
    for found in checked.values():
        page = page_size(found, encoding)
        data = _decoded(found) * (1.0 if encoding == "raw" else 1.2 * found.jpg_ratio)
        # Every page ends in a gap shorter than an image, and every worker in a page of its own.
        need += int(data * (1 + largest(found, encoding) / page)) + (processes(job, len(found.good)) + 2) * page
    if need > job.free_bytes:
        raise RaysweepError(
            f"{job.folder} has {job.free_bytes / 1e9:.2f} GB free, the files need about {need / 1e9:.2f} GB: free some "
            "space, name a folder on another disk, or store less with --encoding jpg or a smaller --side."
        )


def largest(found: Checked, encoding: str) -> int:
    """Upper limit of the stored bytes of an image; noise can grow under JPEG."""
    decoded = int(found.sides.prod(axis=1).max()) * 3
    return decoded if encoding == "raw" else 2 * decoded + (1 << 16)


def page_size(found: Checked, encoding: str) -> int:
    """A power of two in which the largest image fits."""
    return max(MIN_PAGE, 1 << (largest(found, encoding) - 1).bit_length())
