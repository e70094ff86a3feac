"""What the statistics promise, in simulated pages: errors of claims, coverage, power, chances, orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from raysweep.analysis.contrasts import Floats
from raysweep.analysis.load import ALL, load_lines
from raysweep.analysis.statistics.agreement import agree
from raysweep.analysis.statistics.comparisons import groups
from raysweep.analysis.statistics.power import detectable
from raysweep.deciding.allocation import standing_of
from raysweep.deciding.spread import Runs, fitted_spread
from raysweep.store.store import Store
from tests.analysis.simulated import Errors, World, missed, normal, wrong

COMMITTED = Path(__file__).parents[2] / "docs" / "study" / "store"
NULL = np.zeros(30)
SOME = np.concatenate(
    [np.zeros(15), [0.3, -0.3, 0.7, -0.7, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -5.0, 6.0, 8.0, -9.0]]
)


def residuals() -> Errors:
    """Errors drawn from the residuals of the committed study, in terms of their standard deviation."""
    lines = load_lines(Store.open(str(COMMITTED)), [ALL])
    known = {group.trials: group for line in lines for group in groups(line).values() if len(group.values) > 2}
    left = [
        (value - group.runs.mean) * math.sqrt(group.runs.n / group.runs.df)
        for group in known.values()
        for value in group.values.values()
    ]
    values = np.array(left) / np.sqrt(np.median(np.square(left)) / stats.chi2.median(1))
    return lambda rng, shape: rng.choice(values, size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    drawn: Floats = (rng.gamma(4.0, 1.0, shape) - 4.0) / 2.0
    return drawn


def shares(world: World, pages: int) -> tuple[Floats, Floats, Floats]:
    """For each page: the share of wrong claims, whether any is made, and missed intervals over those expected."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(pages):
        page, contrasts = world.page(rng)
        judged = list(zip(contrasts, world.gains, strict=True))
        errors = sum(wrong(one, gain) for one, gain in judged)
        misses = sum(missed(one, gain) for one, gain in judged)
        claims = sum(one.decided for one in contrasts)
        rows.append((errors / max(claims, 1), claims > 0, misses / len(judged) / page.level))
    found = np.array(rows, dtype=float)
    return found[:, 0], found[:, 1], found[:, 2]


def at_most(values: Floats, bound: float) -> bool:
    """Whether a mean is not above a bound by more than chance."""
    return bool(values.mean() <= bound + 3 * values.std() / math.sqrt(len(values)))


@pytest.mark.parametrize("noisy", [1.0, 5.0])
def test_few_claims_are_wrong(noisy: float) -> None:
    wrongly, claimed, misses = shares(World(SOME, noisy=noisy), 10)
    assert at_most(wrongly, 0.05)
    assert claimed.all()
    assert at_most(misses, 1.0)


@pytest.mark.long
@pytest.mark.parametrize("gains", [NULL[:5], NULL, SOME], ids=["few", "null", "some"])
@pytest.mark.parametrize("noisy", [1.0, 5.0])
@pytest.mark.parametrize("errors", [lambda: normal, lambda: skewed, residuals], ids=["normal", "skewed", "residuals"])
def test_at_most_five_percent_of_the_claims_of_a_page_are_wrong(
    errors: Callable[[], Errors], noisy: float, gains: Floats
) -> None:
    wrongly, claimed, misses = shares(World(gains, errors(), noisy), 300)
    assert at_most(wrongly, 0.05)  # without any difference a wrong share is 1 if anything is claimed
    assert claimed.mean() < 0.1 or gains.any()
    assert at_most(misses, 1.0)


@pytest.mark.long
@pytest.mark.parametrize("seed_sd", [0.0, 1.0, 3.0])
def test_intervals_hold_the_truth_whatever_seeds_explain(seed_sd: float) -> None:
    wrongly, _, misses = shares(World(SOME, seed_sd=seed_sd), 300)
    assert at_most(wrongly, 0.05)
    assert at_most(misses, 1.0)


@pytest.mark.long
def test_the_detectable_gain_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        _, contrasts = World(SOME).page(rng)
        gain = detectable(contrasts[0])
        found.append(abs(contrasts[0].gain + gain) > contrasts[0].half)  # its true gain is 0
    assert 0.72 < np.mean(found) < 0.9


@pytest.mark.long
def test_chances_to_be_the_best_are_right() -> None:
    rng = np.random.default_rng(0)
    stated, right = [], []
    for _ in range(300):
        truth = 2.0 * rng.normal(size=8)
        values = truth + rng.normal(size=(3, 8))
        runs = {str(k): Runs.of(column.tolist()) for k, column in enumerate(values.T)}
        likely = standing_of(runs, fitted_spread(list(runs.values()))).top(1)
        best = max(likely, key=lambda name: likely[name])
        stated.append(likely[best])
        right.append(int(best) == int(truth.argmax()))
    assert abs(np.mean(stated) - np.mean(right)) < 0.08


@pytest.mark.long
@pytest.mark.parametrize(("correlation", "variants"), [(0.0, 8), (0.7, 12)])
def test_the_interval_of_tau_over_seeds_holds_the_tau_of_the_true_means(correlation: float, variants: int) -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        published = rng.normal(size=variants)
        truth = 3 * (correlation * published + math.sqrt(1 - correlation**2) * rng.normal(size=variants))
        values = truth + rng.normal(size=(3, variants))
        runs = {str(k): Runs.of(column.tolist()) for k, column in enumerate(values.T)}
        draws = standing_of(runs, fitted_spread(list(runs.values()))).draws
        found = agree(values.mean(axis=0), published, (draws, published[None, :]))
        true = stats.kendalltau(truth, published).statistic
        held.append(found is not None and found.low - 1e-9 <= true <= found.high + 1e-9)
    assert np.mean(held) > 0.92
