"""What a source looks like before it is written: counts, sizes, and what may be a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.opencv import Pixels
from raysweep.data.passed_over import EXAMPLES
from raysweep.process.machine import usable_cores
from raysweep.safe import printable
from raysweep.write.look import Look, Looked, joined
from raysweep.write.sources.base import Source, warnings
from raysweep.write.workers import Workers

AT_A_TIME = 100
"""Number of images that a worker looks at, at a time."""
LONG = 4.0
"""An image whose longer side is more than this many times the shorter one is extreme."""
SMALL = 32
"""Short side in px below which an image is small: no shipped protocol trains on smaller ones."""
IMBALANCED = 10.0
"""Ratio of the largest to the smallest class that is reported."""
SHEET_CLASSES, SHEET_IMAGES = 40, 10
"""Numbers of classes, and of images of each, that are kept for a contact sheet."""


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before writing the images."""

    what: str
    """A noun in the plural."""
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitSeen:
    """One split in numbers."""

    images: int
    counts: tuple[int, ...]
    """Number of images of each class."""
    sides: tuple[int, int, int]
    """Smallest, median and largest short side of the images that can be decoded, px; 0 without any."""


@dataclass(frozen=True)
class Checked:
    """A source that was looked at."""

    classes: tuple[str, ...]
    splits: Mapping[str, SplitSeen]
    findings: tuple[Finding, ...]
    """Every kind that was looked for, also those that were not found."""
    warnings: tuple[str, ...]
    sheet: Mapping[str, Sequence[tuple[str, Pixels]]]
    """Class -> split and thumbnail of a few of its images."""


def check_source(
    source: Source, workers: int | None = None, progress: Callable[[int, int], None] = lambda *_: None
) -> Checked:
    """Decode every image of a source once, and report counts, sizes and what may be a mistake.

    Raises:
        RaysweepError: workers keep dying, or a file of the source cannot be read.
    """
    shown = {split: _shown(samples.labels) for split, samples in source.splits.items()}
    tasks = [
        Look(split, range(first, min(first + AT_A_TIME, len(samples))), shown[split])
        for split, samples in source.splits.items()
        for first in range(0, len(samples), AT_A_TIME)
    ]
    total, done = sum(map(len, source.splits.values())), 0
    parts: dict[str, list[Looked]] = {split: [] for split in source.splits}
    progress(0, total)
    with Workers(source.splits, min(workers or usable_cores(), max(1, len(tasks)))) as pool:
        for task, looked in pool.results(iter(tasks)):
            parts[task.split].append(looked)
            done += len(task.indices)
            progress(done, total)
    seen = {split: joined(found) for split, found in parts.items()}
    for looked in seen.values():
        looked.rows.sort(order="index")
    return Checked(
        source.classes,
        {split: _numbers(source, split, looked) for split, looked in seen.items()},
        tuple(_findings(source, seen)),
        tuple(filter(None, (source.refusal, *warnings(source)))),
        _sheet(source, seen),
    )


def _shown(labels: NDArray[np.int64]) -> frozenset[int]:
    """The first images of each of the first classes."""
    classes = np.unique(labels)[:SHEET_CLASSES]
    return frozenset(int(index) for label in classes for index in np.flatnonzero(labels == label)[:SHEET_IMAGES])


def _sheet(source: Source, seen: Mapping[str, Looked]) -> dict[str, list[tuple[str, Pixels]]]:
    found: dict[str, list[tuple[str, Pixels]]] = {}
    for split, looked in seen.items():
        labels = source.splits[split].labels
        for index, pixels in sorted(looked.thumbnails.items()):
            found.setdefault(source.classes[labels[index]], []).append((split, pixels))
    return dict(sorted(found.items(), key=lambda item: source.classes.index(item[0])))


def _numbers(source: Source, split: str, looked: Looked) -> SplitSeen:
    labels = source.splits[split].labels
    short = np.minimum(looked.rows["height"], looked.rows["width"])
    sides = (int(short.min()), int(np.median(short)), int(short.max())) if len(short) else (0, 0, 0)
    return SplitSeen(len(labels), tuple(_counts(source, split).tolist()), sides)


def _counts(source: Source, split: str) -> NDArray[np.int64]:
    labels = source.splits[split].labels
    inside = labels[(labels >= 0) & (labels < len(source.classes))]
    return np.bincount(inside, minlength=len(source.classes))


def _findings(source: Source, seen: Mapping[str, Looked]) -> Iterator[Finding]:
    for split, looked in seen.items():
        reasons = sorted(looked.reasons.items())
        names = [f"{source.splits[split].name(index)} ({reason})" for index, reason in reasons[:EXAMPLES]]
        yield Finding(f"{split} images that cannot be decoded", len(reasons), tuple(names))
    yield from _same(source, seen)
    for split, looked in seen.items():
        rows = looked.rows
        long, short = np.maximum(rows["height"], rows["width"]), np.minimum(rows["height"], rows["width"])
        for what, where in (
            (f"{split} images more than {LONG:g} times as long as wide", long > LONG * short),
            (f"{split} images with a side below {SMALL} px", short < SMALL),
            (f"greyscale {split} images", rows["is_grey"]),
        ):
            yield _some(source, split, what, rows[where])
    yield from _about_classes(source)
    for reason, items in source.passed_over.items():
        yield Finding(f"passed over: {reason}", items.count, items.examples)


def _some(source: Source, split: str, what: str, rows: NDArray[Any]) -> Finding:
    names = [
        f"{source.splits[split].name(int(row['index']))} ({row['width']}x{row['height']})" for row in rows[:EXAMPLES]
    ]
    return Finding(what, len(rows), tuple(names))


def _same(source: Source, seen: Mapping[str, Looked]) -> Iterator[Finding]:
    """Images with the same pixels: within a split, in both, and with different labels."""
    rows = [
        (split, int(row["index"]), int(row["pixels"]))
        for split, looked in seen.items()
        for row in _repeated(looked, seen)
    ]
    groups: dict[int, list[tuple[str, int]]] = {}
    for split, index, pixels in rows:
        groups.setdefault(pixels, []).append((split, index))
    copies: dict[str, list[list[tuple[str, int]]]] = {split: [] for split in seen}
    leaks, labels = [], []
    for group in groups.values():
        for split in seen:
            if len(inside := [image for image in group if image[0] == split]) > 1:
                copies[split].append(inside)
        if len({split for split, _ in group}) > 1:
            leaks.append(group)
        if len({int(source.splits[split].labels[index]) for split, index in group}) > 1:
            labels.append(group)
    for split, found in copies.items():
        more = sum(len(group) - 1 for group in found)
        yield Finding(f"{split} images that repeat another one of it", more, _pairs(source, found))
    in_test = sum(split != "train" for group in leaks for split, _ in group)
    yield Finding("test images that are among the training images too", in_test, _pairs(source, leaks))
    yield Finding(
        "images with the same pixels in different classes", sum(map(len, labels)), _pairs(source, labels, True)
    )


def _repeated(looked: Looked, seen: Mapping[str, Looked]) -> NDArray[Any]:
    """The rows whose pixels are found more than once in all splits together."""
    values, counts = np.unique(np.concatenate([one.rows["pixels"] for one in seen.values()]), return_counts=True)
    return looked.rows[np.isin(looked.rows["pixels"], values[counts > 1])]


def _pairs(source: Source, groups: Sequence[Sequence[tuple[str, int]]], labelled: bool = False) -> tuple[str, ...]:
    """The first groups with two images of each: of different splits, or of different classes if they are `labelled`."""

    def shown(split: str, index: int) -> str:
        samples = source.splits[split]
        label = f" ({printable(source.classes[samples.labels[index]])})" if labelled else ""
        return f"{samples.name(index)}{label}"

    return tuple(f"{shown(*group[0])} = {shown(*_other(source, group, labelled))}" for group in groups[:EXAMPLES])


def _other(source: Source, group: Sequence[tuple[str, int]], labelled: bool) -> tuple[str, int]:
    if not labelled:
        return group[-1]
    first = source.splits[group[0][0]].labels[group[0][1]]
    return next(image for image in group if source.splits[image[0]].labels[image[1]] != first)


def _about_classes(source: Source) -> Iterator[Finding]:
    counts = {split: _counts(source, split) for split in source.splits}
    train = counts["train"]
    for what, where in (
        ("classes without training images", train == 0),
        ("classes with one training image", train == 1),
        *((f"classes without {split} images", of == 0) for split, of in counts.items() if split != "train"),
    ):
        names = [printable(source.classes[label]) for label in np.flatnonzero(where)]
        yield Finding(what, len(names), tuple(names[:EXAMPLES]))
    least, most = int(train[train > 0].min(initial=1 << 62)), int(train.max(initial=0))
    if most > IMBALANCED * least:
        names = [
            f"{printable(source.classes[int(k)])}: {train[k]:,}"
            for k in (train.argmax(), np.where(train, train, most).argmin())
        ]
        yield Finding(
            "times as many training images in the largest class as in the smallest", most // least, tuple(names)
        )
