"""What the statistics promise, in simulated studies: false positives, coverage, false discoveries, power."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from raysweep.analysis.statistics.across import q_values
from scipy import stats

from raysweep.analysis.statistics.agreement import agree
from raysweep.analysis.statistics.comparisons import (
    LEAST_FOR_BOOTSTRAP,
    Comparison,
    Comparisons,
    Floats,
    bca,
    dunnett_tests,
    errors,
    estimate,
)
from raysweep.analysis.statistics.power import detectable_sds

VARIANTS = 5
Study = dict[str, Comparison]


@dataclass(frozen=True)
class Truth:
    """Gains of the variants, in standard deviations of a trial."""

    gains: Floats
    gaps: float = 0.0


def study(rng: np.random.Generator, truth: Truth, seeds: int) -> Study:
    """One simulated study: seeds shift all trials by far more than the errors; a share of trials is missing."""
    means = np.concatenate([[0.0], truth.gains])
    table = means + rng.normal(0, 1, (seeds, len(means))) + rng.normal(0, 3, (seeds, 1))
    table[rng.random(table.shape) < truth.gaps] = math.nan
    residuals, df = errors(table)
    sd = math.sqrt(residuals @ residuals / df)
    differences = table[:, 1:] - table[:, :1]
    paired = {str(k): [x for x in column if not math.isnan(x)] for k, column in enumerate(differences.T)}
    found = dunnett_tests(paired, sd, df)
    return {name: Comparison(gain, p, 0, seeds) for name, (gain, p) in found.items()}


def share(times: int, happens: Callable[[np.random.Generator], bool]) -> float:
    rng = np.random.default_rng(0)
    return sum(happens(rng) for _ in range(times)) / times


@pytest.mark.parametrize(("times", "gaps"), [(1000, 0.0), pytest.param(2000, 0.12, marks=pytest.mark.long)])
def test_of_studies_without_a_difference_one_in_twenty_claims_one(times: int, gaps: float) -> None:
    nothing = Truth(np.zeros(VARIANTS), gaps)
    claims = share(times, lambda rng: any(one.p <= 0.05 for one in study(rng, nothing, 4).values()))
    assert abs(claims - 0.05) < 3 * math.sqrt(0.05 * 0.95 / times)


@pytest.mark.long
def test_all_intervals_of_a_study_hold_the_truth_in_nineteen_of_twenty() -> None:
    truth = Truth(np.array([-4.0, -1.0, 0.0, 0.5, 3.0]))

    def all_hold(rng: np.random.Generator) -> bool:
        found = study(rng, truth, 3)
        return all(abs(found[str(k)].gain.mean - gain) <= found[str(k)].gain.half for k, gain in enumerate(truth.gains))

    assert 0.935 < share(2000, all_hold) < 0.965


@pytest.mark.long
def test_the_detectable_gain_is_found_four_times_in_five() -> None:
    truth = Truth(np.array([detectable_sds(5, VARIANTS), *[0.0] * (VARIANTS - 1)]))
    assert 0.77 < share(1500, lambda rng: study(rng, truth, 5)["0"].p <= 0.05) < 0.83


def comparisons(rng: np.random.Generator, different: bool) -> Comparisons:
    gains = np.array([3.0, 3.0, 0.0, 0.0]) if different else np.zeros(4)
    return Comparisons(study(rng, Truth(gains), 3), 1.0, 8, math.nan)


@pytest.mark.long
def test_false_discoveries_over_many_studies_are_few() -> None:
    """Of twelve studies four have something: the mean share of the studies claimed that err is at most 5 %."""
    rng = np.random.default_rng(0)
    wrong, found, alone = [], [], []
    for _ in range(150):
        lines = [comparisons(rng, different=number < 4) for number in range(12)]
        claimed = [{name for name, value in q.items() if value <= 0.05} for q in q_values(lines)]
        nulls = [{"2", "3"}] * 4 + [{"0", "1", "2", "3"}] * 8
        some = [(claims, null) for claims, null in zip(claimed, nulls, strict=True) if claims]
        wrong.append(np.mean([bool(claims & null) for claims, null in some]) if some else 0.0)
        found.append(len(some))
        alone.append(any(line.smallest_p <= 0.05 for line in lines[4:]))
    assert np.mean(wrong) < 0.05
    assert np.mean(found) > 2
    assert np.mean(alone) > 0.2  # without it one report in five or more would claim a difference where there is none


@pytest.mark.long
def test_the_bootstrap_holds_skewed_errors() -> None:
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(300, 20)) - 1
    held = [low <= 0 <= high for low, high in (bca(list(row), 1) for row in draws)]
    assert np.mean(held) > 0.88  # 0.93 is usual for the mean of 20 of an exponential
    assert LEAST_FOR_BOOTSTRAP > 3  # of three values there are ten distinct resamples: it would hold far less
    few = [low <= 0 <= high for low, high in (bca(list(row[:3]), 1) for row in draws)]
    assert np.mean(few) < 0.8


@pytest.mark.long
@pytest.mark.parametrize(("correlation", "variants"), [(0.0, 8), (0.7, 12)])
def test_the_interval_of_tau_holds_the_truth(correlation: float, variants: int) -> None:
    rng = np.random.default_rng(0)
    truth = 2 / math.pi * math.asin(correlation)
    held = []
    for _ in range(400):
        published = rng.normal(size=variants)
        true_means = correlation * published + math.sqrt(1 - correlation**2) * rng.normal(size=variants)
        found = agree(true_means + rng.normal(0, 0.2, (3, variants)), published[None])
        held.append(found is not None and found.low <= truth <= found.high)
    assert 0.92 < np.mean(held) <= 1


def test_errors_of_a_full_table_are_the_two_way_analysis_of_variance() -> None:
    table = np.random.default_rng(0).normal(size=(4, 6))
    residuals, df = errors(table)
    expected = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    assert residuals.reshape(4, 6) == pytest.approx(expected)
    assert df == 15


def test_one_variant_is_the_paired_t_test() -> None:
    table = np.random.default_rng(1).normal(size=(5, 2))
    residuals, df = errors(table)
    differences = table[:, 1] - table[:, 0]
    gain, p = dunnett_tests({"a": list(differences)}, math.sqrt(residuals @ residuals / df), df)["a"]
    assert df == 4
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=2e-5)
    assert gain.half == pytest.approx(estimate(list(differences)).half)
