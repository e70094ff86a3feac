"""Spread between seeds and intervals of a gain, against distributions of SciPy and simulated runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raysweep.deciding import spread as module
from raysweep.deciding.spread import GainError, Runs, Spread, shared_spread, unstable
from raysweep.deciding.verdicts import guessing

MANY = Runs(10**9, 0.0, 1.0)


def groups(rng: np.random.Generator, runs: int, *sds: float) -> list[Runs]:
    return [Runs.of(rng.normal(0, sd, runs).tolist()) for sd in sds]


def test_the_shared_spread_is_that_of_the_stable_variants() -> None:
    found = shared_spread(groups(np.random.default_rng(1), 6, *[2.0] * 60, *[10.0] * 4))
    assert found.variance == pytest.approx(4.0, rel=0.25)  # 13.6 with all variants alike
    assert 250 < found.df < 5 * 62  # of the unstable ones, next to nothing counts


def test_runs_that_are_all_equal_have_a_spread_above_zero() -> None:
    assert shared_spread([Runs.of([50.0, 50.0]), Runs.of([40.0, 40.0])]).variance > 0


def test_a_spread_needs_two_runs() -> None:
    with pytest.raises(ValueError, match="two runs"):
        shared_spread([Runs.of([1.0])])


def test_the_evidence_for_instability_is_the_likelihood_ratio_of_two_f_distributions() -> None:
    spread, df, variance = Spread(4.0, 1000.0), 3, 30.0
    stable = stats.f.pdf(variance / 4.0, df, module.PRIOR_DF)
    noisy = stats.f.pdf(variance / 4.0 / module.UNSTABLE_RATIO, df, module.UNSTABLE_DF) / module.UNSTABLE_RATIO
    odds = noisy / stable * module.UNSTABLE_SHARE / (1 - module.UNSTABLE_SHARE)
    assert float(unstable(df, variance, spread)) == pytest.approx(odds / (1 + odds))


def test_with_one_component_the_interval_is_that_of_the_moderated_t() -> None:
    """Smyth 2004, equations 6 and 8."""
    variant, spread = Runs(4, 0.0, 2.5), Spread(1.5, 20.0, unstable_share=1e-300)
    moderated = (20 * 1.5 + 3 * 2.5) / 23
    expected = stats.t.isf(0.005, 23) * np.sqrt(moderated / 4 + 1.5 / 10)
    assert GainError.of(variant, Runs(10, 0.0, 1.0), spread).half_width(0.01) == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.3, 1e-2, 1e-6])
def test_the_half_width_is_exceeded_with_probability_level(level: float) -> None:
    error = GainError.of(Runs(2, 0.0, 0.1), MANY, Spread(1.0, 60.0))
    assert error.beyond(error.half_width(level)) == pytest.approx(level, rel=1e-6)


def test_two_runs_that_agree_prove_little_and_six_prove_stability() -> None:
    spread = Spread(1.0, 100.0)
    widths = {n: GainError.of(Runs(n, 0.0, 1.0), MANY, spread).half_width(1e-3) * np.sqrt(n) for n in (2, 6)}
    normal = stats.norm.isf(5e-4)
    assert widths[2] > 2 * normal
    assert widths[6] < 1.5 * normal


@pytest.mark.parametrize(("outputs", "limit"), [(2, 0.55), (10, 0.15), (1000, 0.0015)])
def test_the_accuracy_of_guessing_leaves_room_for_hard_questions_of_two_classes(outputs: int, limit: float) -> None:
    assert guessing(outputs) == pytest.approx(limit)
