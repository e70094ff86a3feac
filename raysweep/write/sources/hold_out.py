"""A test split for sources that have none: a fixed, class-balanced share of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raysweep.data.passed_over import PassedOver
from raysweep.data.randomness import bits, key
from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Source
from raysweep.write.sources.subset import SubsetSamples

SHARE = 0.2
"""Share of the images of each class that is held out unless the user says otherwise."""


class HeldOut(Source):
    """A source that is tested on a share of its training images, which it is not trained on."""

    def __init__(self, source: Source, share: float = SHARE) -> None:
        """The share is that of each class, and the same images whenever the source has the same ones.

        Raises:
            RaysweepError: the share is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise RaysweepError(f"--holdout is {share:g}: it must be above 0 and below 1.")
        train, test = source.splits["train"], source.splits.get("test")
        held = held_out(train.labels, share)
        rest = np.setdiff1d(np.arange(len(train)), held)
        self.name, self.classes, self.fetched_bytes = source.name, source.classes, source.fetched_bytes
        self.spec = f"{source.spec}, {share:g} of the training images held out"
        self.splits = {"train": SubsetSamples(train, rest), "test": SubsetSamples(train, held)}
        self.refusal = source.refusal
        why = f"{source.spec} has no test split" if test is None else "its test split is not used"
        self.notes = (
            *source.notes,
            f"{why}: {share:.0%} of the training images of each class, {len(held):,} in all, are held out for testing",
        )
        unused = (
            {}
            if test is None
            else {"images of the test split, which --holdout replaces": _all(test.name(0), len(test))}
        )
        self.passed_over = {**source.passed_over, **unused}


def _all(first: str, count: int) -> PassedOver:
    return PassedOver(count, (first,))


def held_out(labels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Sorted indices of a share of the images of each class: at least one of two or more, and never all.

    They depend on the number of images and their labels only.
    """
    ids, counts = np.arange(len(labels)), np.bincount(labels)
    order = np.lexsort((bits(key("held out of a source"), ids), labels))
    place = ids - np.repeat(np.cumsum(counts) - counts, counts)
    most = np.minimum(counts - 1, np.maximum(1, np.rint(counts * share).astype(np.int64)))
    return np.sort(order[place < most[labels[order]]])
