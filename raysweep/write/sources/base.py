"""The interface of a source of images, and checks that apply to all sources."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.passed_over import Account, lines
from raysweep.errors import RaysweepError
from raysweep.safe import printable

MAX_ENCODED = 1 << 30
"""Largest encoded image in bytes; larger ones are not read."""

Picture = bytes | NDArray[Any]
"""An encoded image file, or pixels (H, W) or (H, W, 1, 3 or 4) of 8 or 16 bits."""
Read = Callable[[int], Picture]
"""A function that returns the picture of an image number; it is pickled and sent to a worker."""


class Samples(ABC):
    """The images of one split; `labels` (N,) are their class numbers."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        """`labels` (N,)."""
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, index: int) -> str:
        """A name by which a user can find the image."""

    @abstractmethod
    def picture(self, index: int) -> Picture:
        """The encoded image file, or its pixels."""

    def fetch(self, indices: Sequence[int]) -> Read:
        """Access to these images for a worker; it should be small, because every task carries it."""
        return self.picture


class Source:
    """A set of images with classes and the splits `train` and `test`."""

    name: str
    """A short name for tables and figures."""
    spec: str
    """The text by which the source was opened."""
    classes: tuple[str, ...]
    """Class names in the order of their numbers."""
    splits: Mapping[str, Samples]
    """`train` and `test`; a source without test images has `train` only, until a share of it is held out."""
    passed_over: Account = MappingProxyType({})
    """What the source has besides these images, counted by reason; see `Tally`."""
    fetched_bytes: float = 0.0
    """Bytes per image that `fetch` loads, about; 0 if workers read the images themselves."""
    notes: Sequence[str] = ()
    """What a user should know about the choices that were made, as sentences."""
    refusal: str = ""
    """Why these images must not be written as they are, with the next step; found before any image is read."""


def check_labels(source: Source) -> None:
    """Refuse what the source itself refuses, labels without a class, and classes without training images.

    Raises:
        RaysweepError: lists the labels with their counts, or the classes.
    """
    if source.refusal:
        raise RaysweepError(source.refusal)
    _check_names(source)
    for split in ("train", "test"):
        labels = source.splits[split].labels
        if not len(labels):
            raise RaysweepError(f"{source.spec} has no {split} images.{_instead(source)}")
        check_range(labels, len(source.classes), f"{source.spec}, {split}")
    counts = np.bincount(source.splits["train"].labels, minlength=len(source.classes))
    check_classes(source.classes, counts.tolist(), source.spec, _instead(source))


def _check_names(source: Source) -> None:
    """Refuse class names that no manifest can hold: folders of file systems without UTF-8, damaged JSON."""
    wrong = [name for name in source.classes if name != name.encode(errors="replace").decode()]
    if wrong:
        raise RaysweepError(
            f"{source.spec}: the names of classes must be text in UTF-8. Rename {', '.join(map(printable, wrong[:5]))}."
        )


def warnings(source: Source) -> Iterator[str]:
    """Sentences on what can be written but may be a mistake."""
    if len(source.classes) == 1:
        yield f"{source.spec} has one class: every network will be right about all images"
    if pairs := alike(source.classes):
        yield f"these classes differ only in capitals or in the form of accents: {', '.join(pairs[:5])}"


def alike(names: Iterable[str]) -> list[str]:
    """Pairs of different names in which only capitals differ, or the two ways to write accents in Unicode."""
    first: dict[str, str] = {}
    known = ((first.setdefault(unicodedata.normalize("NFC", name).casefold(), name), name) for name in names)
    return [f"{one} and {other}" for one, other in dict.fromkeys(known) if one != other]


def _instead(source: Source) -> str:
    """What a source has instead of images."""
    return "".join(f"\n  It has {line}" for line in lines(source.passed_over))


def check_nothing_passed_over(source: Source) -> None:
    """Refuse a source that has anything besides its images.

    Raises:
        RaysweepError: lists it by reason.
    """
    if source.passed_over:
        found = "\n  ".join(lines(source.passed_over))
        raise RaysweepError(
            f"{source.spec} has items that the image set would not have:\n  {found}\n"
            "Remove them from the source, or omit --strict."
        )


def check_range(labels: NDArray[np.int64], classes: int, where: str) -> None:
    """Refuse labels outside 0 to `classes` - 1.

    Raises:
        RaysweepError: lists them with their counts.
    """
    wrong, counts = np.unique(labels[(labels < 0) | (labels >= classes)], return_counts=True)
    if len(wrong):
        first = ", ".join(f"{label} ({count} images)" for label, count in zip(wrong[:5], counts[:5], strict=True))
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise RaysweepError(f"{where}: labels must be 0 to {classes - 1} for {classes} classes; found {first}{more}.")


def check_classes(classes: Sequence[str], counts: Sequence[int], where: str, more: str = "") -> None:
    """Refuse classes without training images; `more` is added to the message.

    Raises:
        RaysweepError: lists them.
    """
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        names = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        raise RaysweepError(
            f"{where}: {len(empty)} of the {len(classes)} classes have no training images: {names}. "
            f"Add images, or remove these classes from both splits.{more}"
        )


def stem(spec: str) -> str:
    """A short name derived from a path."""
    return printable(Path(spec).resolve().stem) or "images"


def unreadable(error: OSError, path: Path) -> RaysweepError:
    """The error for a file or folder of a source that cannot be read."""
    return RaysweepError(
        f"{printable(str(error.filename or path))} cannot be read: {error.strerror}. "
        "Make it readable, or move it out of the set."
    )
