"""How long writing will take and how much room, measured on some of the images before any is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.units import rough_duration
from raysweep.write.forms import Form, Forms
from raysweep.write.sources.base import Samples
from raysweep.write.workers import Encoders, Task

RAW_BELOW = 1 << 30
"""`auto` stores pixels as they are when all of them together have fewer bytes: any machine holds them in memory."""
SAMPLED, RUN = 512, 16
"""Images that are tried at most, and how many of them lie side by side: a shard of a source is read for each run."""
SAMPLING_S = 5.0
"""Seconds after which no more runs are begun."""
MARGIN = 1.03
"""Room for what the estimate cannot know."""
CHUNK_BYTES = 4 << 20
"""About what a worker hands over at a time: bounds the memory of results that have to wait for their turn."""
IMAGE_BYTES = 64
"""Of tables and journal, per image and size."""


@dataclass(frozen=True)
class Estimate:
    """Means over the images that were tried and can be stored."""

    images: int
    """How many of them."""
    seconds: float
    """Of one worker, per image."""
    stored: Mapping[str, float]
    """Bytes per image by folder; encoded as JPEG where the encoding is still to be chosen."""
    pixels: Mapping[str, float]
    """Bytes per image by folder, decoded."""
    bad: tuple[str, ...]
    """Images that cannot be stored."""

    def choose(self, forms: Forms, images: int) -> dict[str, Form]:
        """The forms with an encoding where it is left to us: raw or jpg, by what this many images would take."""
        raw = {name: self.pixels[name] * images < RAW_BELOW for name in forms}
        return {
            name: replace(form, encoding="raw" if raw[name] else "jpg") if form.encoding == "auto" else form
            for name, form in forms.items()
        }

    def bytes_per_image(self, forms: Forms) -> float:
        """In all forms together."""
        return sum(self.pixels[name] if form.encoding == "raw" else self.stored[name] for name, form in forms.items())

    def chunk(self, forms: Forms, at_most: int) -> int:
        """Images to hand over at a time."""
        return int(min(at_most, max(1, CHUNK_BYTES // max(1, self.bytes_per_image(forms)))))

    def need(self, forms: Forms, images: int) -> int:
        """Bytes that this many more images take."""
        return int(images * (self.bytes_per_image(forms) * MARGIN + IMAGE_BYTES * len(forms)))

    def text(self, forms: Forms, images: int, workers: int, free: int) -> str:
        """For people: how many images, how much room, how long."""
        size, time_s = self.need(forms, images), self.seconds * images / workers
        processes = "1 process" if workers == 1 else f"{workers} processes"
        return (
            f"{images:,} images, about {gigabytes(size)} and {rough_duration(time_s)} with {processes}; "
            f"{gigabytes(free)} free"
        )

    def refuse_full(self, forms: Forms, images: int, free: int, folder: object) -> None:
        """Refuse to begin what the disk will not hold.

        Raises:
            RaysweepError: names the space needed and the space there is.
        """
        need = self.need(forms, images)
        if need > free:
            raise RaysweepError(
                f"{folder} has {gigabytes(free)} free, the files need about {gigabytes(need)}: free some space, name "
                "a folder on another disk, or store less with --encoding jpg, a smaller --side or fewer sizes."
            )


def gigabytes(count: float) -> str:
    """Bytes as GB, with three digits."""
    number = count / 1e9
    return f"{number:.0f} GB" if number >= 100 else f"{number:.1f} GB" if number >= 10 else f"{number:.2f} GB"


def measure(splits: Mapping[str, Samples], forms: Forms, encoders: Encoders) -> Estimate:
    """Encode some of the images as all of them will be."""
    tried = tuple(replace(form, encoding="jpg") if form.encoding == "auto" else form for form in forms.values())
    tasks = [Task(split, run, tried) for split, run in _runs({split: len(part) for split, part in splits.items()})]
    _warm_up(encoders, tasks)
    found = list(encoders.encode(_until(SAMPLING_S, tasks)))
    rows = np.concatenate([encoded.rows for encoded in found])["stored"]
    rows = rows[(rows["size"] > 0).all(axis=1)]
    decoded = rows["height"].astype(np.int64) * rows["width"] * 3
    bad = [
        f"{splits[task.split].name(index)} ({reason})"
        for task, encoded in zip(tasks, found, strict=False)
        for index, reason in encoded.reasons.items()
    ]
    images = sum(len(encoded.rows) for encoded in found)
    return Estimate(
        images,
        sum(encoded.seconds for encoded in found) / images,
        dict(zip(forms, _means(rows["size"]), strict=True)),
        dict(zip(forms, _means(decoded), strict=True)),
        tuple(bad),
    )


def _means(values: NDArray[np.int64]) -> Sequence[float]:
    return values.mean(axis=0).tolist() if len(values) else [0.0] * values.shape[1]


def _runs(images: Mapping[str, int]) -> list[tuple[str, range]]:
    """Runs of images from all over the splits, any first few of them too; an eighth of a small set in all."""
    total = sum(images.values())
    count = min(SAMPLED, max(RUN, total // 8)) // RUN
    places = sorted((split, first) for split, number in images.items() for first in range(0, number, RUN))
    chosen = [places[k] for k in np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int).tolist()]
    # By the golden ratio, whose multiples spread evenly wherever they are cut off.
    order = np.argsort(np.arange(len(chosen)) * 0.6180339887 % 1.0)
    chosen = [chosen[k] for k in order.tolist()]
    return [(split, range(first, min(first + RUN, images[split]))) for split, first in chosen]


def _warm_up(encoders: Encoders, tasks: Sequence[Task]) -> None:
    """One image for every worker: the first loads what decodes it."""
    first = Task(tasks[0].split, tasks[0].indices[:1], tasks[0].forms)
    for _ in encoders.encode(iter([first] * len(encoders.workers))):
        pass


def _until(seconds: float, tasks: Sequence[Task]) -> Iterator[Task]:
    end = time.monotonic() + seconds
    for k, task in enumerate(tasks):
        if k and time.monotonic() > end:
            return
        yield task
