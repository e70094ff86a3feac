from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.data.randomness import below, bits, epoch_order, held_out, key, share, subset, wrong_labels
from raysweep.errors import RaysweepError

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=200).map(np.array)
ORDER = [6, 0, 2, 3, 4, 7, 1, 5]
BITS = [11178033166162945752, 5465731658798973055]


@given(LABELS, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_a_larger_subset_contains_a_smaller_one(labels: np.ndarray, first: float, second: float, seed: int) -> None:
    small, large = (subset(labels, fraction, seed) for fraction in sorted((first, second)))
    assert set(small) <= set(large)


@given(LABELS, st.floats(0.01, 1), st.integers(0, 9))
def test_every_class_has_its_share_to_within_one_image(labels: np.ndarray, fraction: float, seed: int) -> None:
    kept = subset(labels, fraction, seed)
    assert len(kept) == max(1, round(len(labels) * fraction))
    assert (np.diff(kept) > 0).all()
    for label in np.unique(labels):
        assert abs((labels[kept] == label).sum() - fraction * (labels == label).sum()) <= 1.5


def test_subsets_of_different_seeds_differ() -> None:
    labels = np.arange(1000) % 10
    common = np.intersect1d(subset(labels, 0.2, 0), subset(labels, 0.2, 1))
    assert len(common) < 80


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
def test_invalid_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(RaysweepError, match="train_fraction"):
        subset(np.zeros(10, np.int64), fraction, 0)


@given(LABELS, st.floats(0, 0.99))
def test_every_class_holds_out_its_share_to_within_one_image(labels: np.ndarray, fraction: float) -> None:
    held = held_out(labels, fraction)
    assert len(held) == round(len(labels) * fraction)
    assert (np.diff(held) > 0).all()
    for label in np.unique(labels):
        assert abs((labels[held] == label).sum() - fraction * (labels == label).sum()) <= 1.5


def test_held_out_images_are_independent_of_subsets() -> None:
    labels = np.arange(1000) % 10
    common = np.intersect1d(held_out(labels, 0.2), subset(labels, 0.2, 0))
    assert 20 < len(common) < 60  # a fifth of a fifth, by chance


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_invalid_held_out_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(RaysweepError, match="data.holdout"):
        held_out(np.zeros(10, np.int64), fraction)


def test_orders_are_the_same_in_every_version() -> None:
    # Changing these changes the numbers of every trial ever recorded.
    assert epoch_order(0, 0, 8).tolist() == ORDER
    assert bits(key("crop", 0, 0), np.arange(2)).tolist() == BITS


def test_numbers_are_spread_evenly() -> None:
    drawn = below(np.full(30_000, 17), bits(key("crop", 1, 2), np.arange(30_000)), 24)
    counts = np.bincount(drawn, minlength=17)
    assert len(counts) == 17
    assert np.abs(counts - 30_000 / 17).max() < 5 * (30_000 / 17) ** 0.5


def test_shares_fill_the_unit_interval_evenly() -> None:
    drawn = share(bits(key("angle", 3), np.arange(30_000)))
    assert 0 <= drawn.min() < 0.001
    assert 0.999 < drawn.max() < 1
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] - 3000).max() < 5 * 3000**0.5


@given(LABELS, st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 9))
def test_exactly_the_share_is_wrong_and_the_shares_are_nested(
    labels: np.ndarray, first: float, second: float, seed: int
) -> None:
    small, large = (wrong_labels(labels, fraction, 6, seed) for fraction in sorted((first, second)))
    assert (large != labels).sum() == round(max(first, second) * len(labels))
    changed = small != labels
    np.testing.assert_array_equal(small[changed], large[changed])
    assert ((large >= 0) & (large < 6)).all()


def test_wrong_classes_are_uniform_over_the_others() -> None:
    labels = np.full(40_000, 3)
    counts = np.bincount(wrong_labels(labels, 0.5, 5, 1), minlength=5)
    assert counts[3] == 20_000
    assert np.abs(np.delete(counts, 3) - 5000).max() < 5 * 5000**0.5


def test_wrong_labels_are_fixed_by_image_and_seed() -> None:
    labels = np.arange(1000) % 10
    one, again, other = (wrong_labels(labels, 0.2, 10, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    both = ((one != labels) & (other != labels)).sum()
    assert 20 < both < 70  # a fifth of a fifth, by chance
    np.testing.assert_array_equal(labels, np.arange(1000) % 10)


def test_wrong_labels_of_a_subset_are_among_its_images() -> None:
    labels = np.arange(1000) % 10
    kept = subset(labels, 0.3, 0)
    noisy = wrong_labels(labels, 0.1, 10, 0, kept)
    assert (noisy[kept] != labels[kept]).sum() == 30
    assert (noisy != labels).sum() == 30


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_invalid_fractions_of_wrong_labels_are_refused(fraction: float) -> None:
    with pytest.raises(RaysweepError, match="data.label_noise"):
        wrong_labels(np.zeros(10, np.int64), fraction, 10, 0)


def test_a_single_class_allows_no_wrong_labels() -> None:
    with pytest.raises(RaysweepError, match=r"data\.label_noise.*\b1 class"):
        wrong_labels(np.zeros(10, np.int64), 0.1, 1, 0)
