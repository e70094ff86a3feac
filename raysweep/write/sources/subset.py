"""A fixed part of a source: the first images of each class, for a proxy of a study that a laptop has time for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Labelled, Pictures, Samples, Source


class _Some:
    """Pictures under the numbers that they have in the subset."""

    def __init__(self, pictures: Pictures, numbers: Mapping[int, int]) -> None:
        self._pictures = pictures
        self._numbers = numbers

    def picture(self, index: int) -> bytes | NDArray[np.uint8]:
        return self._pictures.picture(self._numbers[index])


class SubsetSamples(Labelled):
    """Some of the images of a split, in their order."""

    def __init__(self, samples: Samples, chosen: NDArray[np.int64]) -> None:
        """`chosen` (n,): their numbers in `samples`."""
        super().__init__(samples.labels[chosen])
        self._samples = samples
        self._chosen = chosen

    def name(self, index: int) -> str:
        """As the whole set names it."""
        return self._samples.name(int(self._chosen[index]))

    def picture(self, index: int) -> bytes | NDArray[np.uint8]:
        """The encoded image file, or its pixels."""
        return self._samples.picture(int(self._chosen[index]))

    def fetch(self, indices: Sequence[int]) -> Pictures:
        """What a worker needs to get at these images."""
        numbers = {index: int(self._chosen[index]) for index in indices}
        return _Some(self._samples.fetch(list(numbers.values())), numbers)


class Subset:
    """The first images of each class of a source."""

    def __init__(self, source: Source, train: int, test: int) -> None:
        """`train` and `test` images of each class, in the order of the source; its classes stay as they are.

        Raises:
            RaysweepError: a class with fewer; names it and how many there are.
        """
        counts = {"train": train, "test": test}
        self.name = f"{source.name}-{train}-{test}"
        self.spec = f"{source.spec}, {train} training and {test} test images of each class"
        self.classes = source.classes
        self.splits = {
            split: SubsetSamples(samples, _first(samples.labels, counts[split], source, split))
            for split, samples in source.splits.items()
        }


def _first(labels: NDArray[np.int64], count: int, source: Source, split: str) -> NDArray[np.int64]:
    found = np.bincount(labels, minlength=len(source.classes))
    if count < 1 or found.min() < count:
        fewest = int(found.argmin())
        raise RaysweepError(
            f"{source.spec} cannot give {count} {split} images of each class: {source.classes[fewest]} has "
            f"{found[fewest]}. Ask for 1 to {found.min()}."
        )
    # The place of an image among those of its class, in the order of the source.
    by_class = np.argsort(labels, kind="stable")
    place = np.empty_like(labels)
    place[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(found) - found, found)
    return np.flatnonzero(place < count)
