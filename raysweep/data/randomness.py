"""Random numbers as a function of their purpose, independent of any numbers drawn before.

The random number of image i in epoch e with seed s is a 64-bit hash of the three. Order, crops and mirroring are
therefore the same in any process, with any number of threads, at any batch size and after any restart. NumPy's
generators are not used because their streams may change.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError


def key(purpose: str, *numbers: int) -> np.uint64:
    """A 64-bit key for a purpose and its numbers; neighbouring numbers give unrelated keys."""
    text = "/".join((purpose, *map(str, map(int, numbers))))
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def bits(start: np.uint64 | NDArray[np.uint64], ids: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits per id: element `id` of the SplitMix64 sequence that starts at a key."""
    x = start + (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def below(limits: NDArray[np.int64], random: NDArray[np.uint64], shift: int) -> NDArray[np.int64]:
    """Numbers from 0 to limit - 1, from 24 of the random bits; limits are image sides, far below 2**24."""
    part = (random >> np.uint64(shift)) & np.uint64(0xFFFFFF)
    return ((part * limits.astype(np.uint64)) >> np.uint64(24)).astype(np.int64)


def share(random: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1), in steps of 2**-53, from the upper random bits."""
    return (random >> np.uint64(11)).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of `count` images in an epoch, cached because every batch of the epoch uses it."""
    order = np.argsort(bits(key("order", seed, epoch), np.arange(count)), kind="stable")
    order.flags.writeable = False
    return order


def subset(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Indices of a subset of the images: `fraction` of each class, to within one image.

    The images of a class are in a random order that depends only on the seed, and the classes alternate: a smaller
    subset is contained in a larger one.

    Raises:
        RaysweepError: the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise RaysweepError(f"data.train_fraction is {fraction}: it must be above 0 and at most 1.")
    return _drawn(labels, max(1, round(len(labels) * fraction)), key("subset", seed))


def _drawn(labels: NDArray[np.int64], count: int, of: np.uint64) -> NDArray[np.int64]:
    """Sorted indices of `count` images; each class is in a random order, and the classes alternate."""
    ids = np.arange(len(labels))
    random = bits(of, ids)
    order = np.lexsort((random, labels))
    counts = np.bincount(labels)
    firsts = np.cumsum(counts) - counts
    turn = (ids - firsts[labels[order]] + 0.5) / counts[labels[order]]
    return np.sort(order[np.lexsort((random[order], turn))][:count])


def held_out(labels: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Indices of the training images that are held out for testing: `fraction` of each class.

    They depend on nothing else, so that trials of all seeds are compared on the same images.

    Raises:
        RaysweepError: the fraction is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise RaysweepError(f"data.holdout is {fraction}: it must be 0 or more and less than 1.")
    return _drawn(labels, round(len(labels) * fraction), key("hold out"))


def wrong_labels(
    labels: NDArray[np.int64], fraction: float, num_classes: int, seed: int, indices: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The labels (N,), of which round(fraction * n) are wrong among the n images `indices` (none: all).

    A wrong class is drawn uniformly from the other classes. Class and order of replacement depend only on image and
    seed: the wrong labels of a smaller fraction are among those of a larger one.

    Raises:
        RaysweepError: the fraction is not in [0, 1), or there is no other class.
    """
    if not 0 <= fraction < 1:
        raise RaysweepError(f"data.label_noise is {fraction}: it must be 0 or more and less than 1.")
    if num_classes < 2 and fraction:
        raise RaysweepError(
            f"data.label_noise is {fraction}, but with {num_classes} class no label can be wrong: use 0."
        )
    noisy = labels.copy()
    if not fraction:
        return noisy
    ids = np.arange(len(labels)) if indices is None else indices
    turn = np.argsort(bits(key("wrong label", seed), ids), kind="stable")
    wrong = ids[turn[: round(fraction * len(ids))]]
    others = np.full(len(wrong), num_classes - 1)
    steps = 1 + below(others, bits(key("wrong class", seed), wrong), 0)
    noisy[wrong] = (noisy[wrong] + steps) % num_classes
    return noisy
