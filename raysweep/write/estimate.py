"""Estimates the time and disk space that writing will take, by encoding some of the images first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.units import rough_duration, short
from raysweep.write.encode import Encoded, Task
from raysweep.write.forms import Form, Forms
from raysweep.write.sources.base import Samples
from raysweep.write.work import Work
from raysweep.write.workers import Workers

RAW_BELOW = 1 << 30
"""`auto` stores uncompressed pixels if all images together take fewer bytes: any machine can hold them in memory."""
SAMPLED, RUN = 512, 16
"""Largest number of sampled images, and number of adjacent ones among them: each run reads one part of the source."""
SAMPLING_S = 5.0
"""Seconds after which no further run is started."""
MARGIN = 1.03
"""Factor for errors of the estimate."""
SHARD_BYTES = 16 << 20
"""Largest size of a shard, about; each worker holds one in memory."""
IMAGE_BYTES = 64
"""Size of the tables per image and size, in bytes."""


@dataclass(frozen=True)
class Estimate:
    """Means over the sampled images that can be stored."""

    images: int
    """Number of sampled images."""
    seconds: float
    """Seconds per image with one worker."""
    stored: Mapping[str, float]
    """Bytes per image by folder; as JPEG if the encoding is still to be chosen."""
    pixels: Mapping[str, float]
    """Bytes per image by folder, decoded."""
    bad: tuple[str, ...]
    """Sampled images that cannot be stored."""

    def bytes_per_image(self, forms: Forms) -> float:
        """Bytes per image in all forms together."""
        return sum(self.pixels[name] if form.encoding == "raw" else self.stored[name] for name, form in forms.items())

    def text(self, forms: Forms, images: int, workers: int, folder: Path) -> str:
        """A sentence with the number of images, the space and the time they take.

        Raises:
            RaysweepError: the disk does not have enough space; names what is needed and what is free.
        """
        size = int(images * (self.bytes_per_image(forms) * MARGIN + IMAGE_BYTES * len(forms)))
        need, free = size + min(size, SHARD_BYTES), shutil.disk_usage(folder).free  # a shard and its copy in the files
        if need > free:
            raise RaysweepError(
                f"{folder} has {short(free)}B free, but writing needs about {short(need)}B: free some space, "
                "use a folder on another disk, or store less with --encoding jpg, a smaller --side or fewer sizes."
            )
        duration = rough_duration(self.seconds * images / workers)
        processes = "1 process" if workers == 1 else f"{workers} processes"
        return f"{images:,} images, about {short(size)}B and {duration} with {processes}; {short(free)}B free"


def decided(forms: Forms, pixel_bytes: Mapping[str, float]) -> dict[str, Form]:
    """The forms with `auto` replaced by raw or jpg, depending on the bytes of pixels that all images have together."""
    return {
        name: replace(form, encoding="raw" if pixel_bytes[name] < RAW_BELOW else "jpg")
        if form.encoding == "auto"
        else form
        for name, form in forms.items()
    }


def measure(splits: Mapping[str, Samples], forms: Forms, encoders: Workers) -> Estimate:
    """Encode some of the images in the same way as all of them will be."""
    tried = tuple(replace(form, encoding="jpg") if form.encoding == "auto" else form for form in forms.values())
    tasks = [Task(split, run, tried) for split, run in _runs({split: len(part) for split, part in splits.items()})]
    found = list(encoders.results(_until(SAMPLING_S, tasks)))
    rows = np.concatenate([encoded.rows for _, encoded in found])["stored"]
    rows = rows[(rows["size"] > 0).all(axis=1)]
    decoded = rows["height"].astype(np.int64) * rows["width"] * 3
    bad = [
        f"{splits[task.split].name(index)} ({reason})"
        for task, encoded in found
        for index, reason in encoded.reasons.items()
    ]
    images = sum(len(encoded.rows) for _, encoded in found)
    return Estimate(
        images,
        sum(encoded.seconds for _, encoded in found) / images,
        dict(zip(forms, _means(rows["size"]), strict=True)),
        dict(zip(forms, _means(decoded), strict=True)),
        tuple(sorted(bad)),
    )


def _means(values: NDArray[np.int64]) -> Sequence[float]:
    return values.mean(axis=0).tolist() if len(values) else [0.0] * values.shape[1]


def _runs(images: Mapping[str, int]) -> list[tuple[str, range]]:
    """Random runs of images, in total an eighth of a small set."""
    count = min(SAMPLED, max(RUN, sum(images.values()) // 8)) // RUN
    runs = [
        (split, range(first, min(first + RUN, number)))
        for split, number in images.items()
        for first in range(0, number, RUN)
    ]
    return Random(0).sample(runs, min(count, len(runs)))


def _until(seconds: float, tasks: Sequence[Task]) -> Iterator[Work[Encoded]]:
    end = time.monotonic() + seconds
    for k, task in enumerate(tasks):
        if k and time.monotonic() > end:
            return
        yield task
