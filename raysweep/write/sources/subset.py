"""A fixed part of a source: the first images of each class, for a study that fits on a laptop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Picture, Read, Samples, Source


class SubsetSamples(Samples):
    """Some of the images of a split, in the same order."""

    def __init__(self, samples: Samples, chosen: NDArray[np.int64]) -> None:
        """`chosen` (n,) are their numbers in `samples`."""
        super().__init__(samples.labels[chosen])
        self._samples = samples
        self._chosen = chosen

    def name(self, index: int) -> str:
        """The name of the image in the whole set."""
        return self._samples.name(int(self._chosen[index]))

    def picture(self, index: int) -> Picture:
        """The encoded image file, or its pixels."""
        return self._samples.picture(int(self._chosen[index]))

    def fetch(self, indices: Sequence[int]) -> Read:
        """Access to these images for a worker."""
        numbers = {index: int(self._chosen[index]) for index in indices}
        return partial(_renumbered, self._samples.fetch(list(numbers.values())), numbers)


def _renumbered(read: Read, numbers: Mapping[int, int], index: int) -> Picture:
    return read(numbers[index])


class Subset(Source):
    """The first images of each class of a source."""

    def __init__(self, source: Source, train: int, test: int) -> None:
        """Take `train` and `test` images of each class, in the order of the source; the classes stay the same.

        Raises:
            RaysweepError: a class has fewer; names it and its number of images.
        """
        counts = {"train": train, "test": test}
        self.name = f"{source.name}-{train}-{test}"
        self.spec = f"{source.spec}, {train} training and {test} test images of each class"
        self.classes = source.classes
        self.passed_over, self.notes = source.passed_over, source.notes
        self.fetched_bytes = source.fetched_bytes
        self.splits = {
            split: SubsetSamples(samples, _first(samples.labels, counts[split], source, split))
            for split, samples in source.splits.items()
        }


def _first(labels: NDArray[np.int64], count: int, source: Source, split: str) -> NDArray[np.int64]:
    found = np.bincount(labels, minlength=len(source.classes))
    if count < 1 or found.min() < count:
        fewest = int(found.argmin())
        raise RaysweepError(
            f"{source.spec} does not have {count} {split} images of each class: {source.classes[fewest]} has "
            f"{found[fewest]}. Use 1 to {found.min()}."
        )
    # The position of each image among those of its class, in the order of the source.
    by_class = np.argsort(labels, kind="stable")
    place = np.empty_like(labels)
    place[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(found) - found, found)
    return np.flatnonzero(place < count)
