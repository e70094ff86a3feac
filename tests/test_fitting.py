from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.deciding.looks import baseline_runs
from raysweep.fitting import (
    FIRST_SEEDS,
    FIRST_SHARE,
    LEAST_EPOCHS,
    LEAST_UPDATES,
    Fit,
    Problem,
    Speed,
    TooLittle,
    fit,
    lengths,
    makespan,
    schedule_settings,
)
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study

HOUR = 3600.0
CIFAR = find_protocol("cifar10")
"""50,000 images, batches of 128, 64 epochs."""


def first_runs(variants: int) -> int:
    return baseline_runs(FIRST_SEEDS, variants)


def problem(budget_s: float, variants: int = 4, image_s: float = 1e-3, **fields: Any) -> Problem:
    speeds = {f"v{number}": Speed(image_s * (1 + number / 10)) for number in range(variants)}
    return replace(Problem(Speed(image_s), speeds, budget_s, 1, CIFAR, first_runs), **fields)


def wall_s(found: Fit, asked: Problem) -> float:
    """The first runs one after another."""
    images = patch(asked.recipe, found.settings).length.images
    base = first_runs(len(asked.variants)) * asked.baseline.trial_s(images, found.epochs)
    return base + FIRST_SEEDS * sum(speed.trial_s(images, found.epochs) for speed in asked.variants.values())


# With 1 ms an image, the first runs of 4 variants and the baseline (4 and 9.2 units) take 660 s an epoch of all images.
@pytest.mark.parametrize(
    ("hours", "epochs", "fraction"),
    [
        (100, 64.0, 1.0),  # the recipe's own length, and no more
        (10, 32.0, 1.0),
        (3, 9.0, 1.0),  # fewer epochs of all images
        (2.2, 7.0, 1.0),
    ],
)
def test_hours_become_epochs_of_all_images(hours: float, epochs: float, fraction: float) -> None:
    found = fit(problem(hours * HOUR))
    assert isinstance(found, Fit)
    assert (found.epochs, found.train_fraction) == (epochs, fraction)
    assert found.first_s == pytest.approx(wall_s(found, problem(hours * HOUR)))


def test_fewer_images_come_after_fewer_epochs() -> None:
    paper = find_protocol("imagenet128")
    whole = 13.2 * paper.length.images * 1e-3 / FIRST_SHARE
    found = fit(problem(LEAST_EPOCHS * whole * 0.5001, recipe=paper))
    assert isinstance(found, Fit)
    assert (found.epochs, found.train_fraction) == (LEAST_EPOCHS, 0.5)


def test_hours_that_cannot_answer_say_what_could() -> None:
    found = fit(problem(0.6 * HOUR))
    assert isinstance(found, TooLittle)
    again = fit(problem(found.needed_s * 1.001))
    assert isinstance(again, Fit)
    assert again.updates >= LEAST_UPDATES
    assert isinstance(fit(problem(found.needed_s * 0.999)), TooLittle)
    fewer = fit(problem(1.5 * HOUR))
    assert isinstance(fewer, TooLittle)
    assert fewer.variants == ("v0", "v1")
    assert isinstance(fit(problem(1.5 * HOUR, variants=2)), Fit)
    assert isinstance(fit(problem(1.5 * HOUR, variants=3)), TooLittle)


def test_no_variant_fits_into_no_time() -> None:
    found = fit(problem(1.0))
    assert isinstance(found, TooLittle)
    assert found.variants == ()


def test_a_protocol_that_is_too_short_is_lengthened() -> None:
    demo = find_protocol("demo")
    assert demo.length.iterations < LEAST_UPDATES
    found = fit(problem(1000 * HOUR, recipe=demo))
    assert isinstance(found, Fit)
    assert found.updates == LEAST_UPDATES


def test_fixed_values_are_kept_even_if_they_are_short() -> None:
    found = fit(problem(HOUR, epochs=0.5, train_fraction=0.1))
    assert isinstance(found, Fit)
    assert (found.epochs, found.train_fraction, found.is_short) == (0.5, 0.1, True)


def test_tests_and_starts_count() -> None:
    plain, slow = fit(problem(3 * HOUR)), fit(problem(3 * HOUR, baseline=Speed(1e-3, test_s=20.0, start_s=60.0)))
    assert isinstance(plain, Fit)
    assert isinstance(slow, Fit)
    assert slow.epochs < plain.epochs
    assert Speed(0.0, test_s=2.0, start_s=1.0).trial_s(100, 2.5) == 7.0, "a test after each epoch, the last one too"


@given(
    hours=st.floats(0.01, 500),
    more=st.floats(1, 10),
    image_s=st.floats(1e-5, 1e-2),
    variants=st.integers(1, 30),
    workers=st.integers(1, 16),
    epochs=st.none() | st.floats(0.5, 100),
    fraction=st.none() | st.floats(0.01, 1),
)
def test_a_fit_stays_within_its_share_and_grows_with_the_hours(
    hours: float, more: float, image_s: float, variants: int, workers: int, epochs: float | None, fraction: float | None
) -> None:
    asked = problem(hours * HOUR, variants, image_s, workers=workers, epochs=epochs, train_fraction=fraction)
    found, larger = fit(asked), fit(replace(asked, budget_s=more * hours * HOUR))
    if isinstance(found, TooLittle):
        assert found.needed_s > asked.budget_s
        assert len(found.variants) <= variants
        if isinstance(larger, TooLittle):
            assert larger.needed_s == found.needed_s
            assert set(found.variants) <= set(larger.variants)
        return
    assert isinstance(larger, Fit)
    assert larger.updates >= found.updates
    assert found.first_s <= FIRST_SHARE * asked.budget_s
    assert wall_s(found, asked) / workers <= found.first_s * (1 + 1e-9)
    assert epochs in (None, found.epochs)
    assert fraction in (None, found.train_fraction)
    assert found.is_short is (found.updates < LEAST_UPDATES)
    if None in (epochs, fraction) and found.is_short:
        assert (epochs, fraction) != (None, None), "only what the user fixes makes it short"


@given(epochs=st.none() | st.floats(0.5, 200), fraction=st.none() | st.floats(0.001, 1))
def test_lengths_fall_and_whole_epochs_of_all_images_come_first(epochs: float | None, fraction: float | None) -> None:
    found = list(lengths(problem(HOUR, epochs=epochs, train_fraction=fraction)))
    updates = [length_of(CIFAR, pair) for pair in found]
    assert updates == sorted(updates, reverse=True)
    assert all(number >= LEAST_UPDATES for number in updates[1:])
    fractions = [share for _, share in found]
    assert fractions == sorted(fractions, reverse=True)
    assert len(set(found)) == len(found)


def length_of(recipe: Recipe, pair: tuple[float, float]) -> int:
    return patch(recipe, {"training.epochs": pair[0], "data.train_fraction": pair[1]}).length.iterations


@given(runs=st.lists(st.floats(0, 100), max_size=20), longer=st.floats(1, 3), workers=st.integers(1, 8))
def test_the_wall_time_of_runs(runs: list[float], longer: float, workers: int) -> None:
    found = makespan(runs, workers)
    assert found >= max([0.0, *runs])
    assert found >= sum(runs) / workers * (1 - 1e-9)
    assert found <= sum(runs) / workers + max([0.0, *runs]) + 1e-9
    assert makespan([run * longer for run in runs], workers) >= found * (1 - 1e-9)
    assert makespan(runs, 1) == pytest.approx(math.fsum(runs))


def test_a_study_of_schedules_keeps_them() -> None:
    about = [variant.patch for variant in find_study("lr_policy").variants]
    other = [variant.patch for variant in find_study("activation").variants]
    assert schedule_settings(about) == {}
    straight = patch(CIFAR, schedule_settings(other)).schedule
    assert (straight.name, straight.floor) == ("linear", 0.0)
