from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raysweep.analysis.contrasts import Contrasts, seed_share, weights
from raysweep.analysis.statistics.power import detectable, seeds_needed
from raysweep.deciding.spread import Spread
from raysweep.deciding.verdicts import Outcome
from raysweep.errors import RaysweepError
from tests.analysis.simulated import World, group

MIXED = np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.9, 2.5, -4.0, 9.0, 0.0])


def test_verdict_interval_and_p_never_contradict_each_other() -> None:
    rng = np.random.default_rng(0)
    for noisy, seeds in ((1.0, 3), (5.0, 3), (1.0, 40)):
        for _ in range(6):
            page, contrasts = World(MIXED, noisy=noisy, seeds=min(seeds, 5)).page(rng)
            for one in contrasts:
                differs = one.verdict in (Outcome.BETTER, Outcome.WORSE)
                assert differs == (abs(one.gain) > one.half) == (one.p <= 0.05)
                if one.verdict == Outcome.EQUAL:
                    assert abs(one.gain) + one.half < page.margin
            assert page.different == sum(one.p <= 0.05 for one in contrasts)


def test_equal_needs_the_whole_interval_within_the_margin() -> None:
    rng = np.random.default_rng(10)
    quiet = [group(f"v{k}", 0.05 * rng.normal(size=3)) for k in range(12)]
    base = group("b", 0.05 * rng.normal(size=5))
    page = Contrasts([(one, base) for one in quiet])
    assert {page.contrast(one, base).verdict for one in quiet} == {Outcome.EQUAL}
    narrow = Contrasts([(one, base) for one in quiet], margin=0.01)
    assert {narrow.contrast(one, base).verdict for one in quiet} == {Outcome.UNDECIDED}
    with pytest.raises(RaysweepError, match="0"):
        Contrasts([], margin=0.0)


def test_the_other_way_round_is_the_same_with_the_opposite_sign() -> None:
    rng = np.random.default_rng(2)
    one, other = group("a", 5 * rng.normal(size=3)), group("b", rng.normal(size=5))
    page = Contrasts([(group(f"v{k}", rng.normal(size=3)), other) for k in range(6)] + [(one, other)])
    there, back = page.contrast(one, other), page.contrast(other, one)
    assert (back.gain, back.half, back.p) == pytest.approx((-there.gain, there.half, there.p))


def test_pairs_of_the_same_runs_count_once() -> None:
    rng = np.random.default_rng(3)
    base = group("b", rng.normal(size=5))
    pairs = [(group(f"v{k}", rng.normal(size=3)), base) for k in range(4)]
    once, twice = Contrasts(pairs), Contrasts([*pairs, *pairs])
    assert once.tested == twice.tested == 4
    assert [once.contrast(*pair) for pair in pairs] == [twice.contrast(*pair) for pair in pairs]


def test_all_baseline_runs_count_and_seeds_that_explain_nothing_leave_the_difference_of_means() -> None:
    own, rest = weights([0, 1, 2], [0, 1, 2, 3, 4], 0.0)
    assert own == pytest.approx([1 / 3] * 3)
    assert rest == pytest.approx([1 / 5] * 5)
    own, rest = weights([0, 1, 2], [0, 1, 2, 3, 4], 0.95)
    assert rest[:3].sum() > 0.9  # nearly paired
    assert own.sum() == pytest.approx(1)
    assert rest.sum() == pytest.approx(1)


def test_weights_are_those_of_the_mixed_model() -> None:
    """Generalised least squares with the seed as a random effect, from the normal equations."""
    share, rng = 0.4, np.random.default_rng(4)
    y = rng.normal(size=8)
    seeds = [0, 1, 2, 0, 1, 2, 3, 4]
    variant = np.array([1] * 3 + [0] * 5)
    z = np.equal.outer(seeds, range(5)).astype(float)
    x = np.column_stack([variant, np.ones(8)])
    penalty = np.eye(5) * (1 - share) / share  # Henderson's mixed model equations
    left = np.block([[x.T @ x, x.T @ z], [z.T @ x, z.T @ z + penalty]])
    expected = np.linalg.solve(left, np.concatenate([x.T @ y, z.T @ y]))[0]
    own, rest = weights(seeds[:3], seeds[3:], share)
    assert own @ y[:3] - rest @ y[3:] == pytest.approx(expected)


def test_the_share_of_seeds_is_that_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(5)
    table = rng.normal(size=(40, 6)) + 1.5 * rng.normal(size=(1, 6))
    left = table - table.mean(axis=1, keepdims=True)
    of_seeds = 40 * (left.mean(axis=0) ** 2).sum() / 5
    of_errors = ((left - left.mean(axis=0)) ** 2).sum() / (5 * 39)
    found = seed_share([group(f"v{k}", row) for k, row in enumerate(table)], Spread(3.0, 200.0))
    assert found == pytest.approx((of_seeds - of_errors) / 40 / 3.0)


def test_runs_that_do_not_train_are_an_outcome_and_no_accuracy() -> None:
    rng = np.random.default_rng(6)
    base = group("b", 50 + rng.normal(size=5))
    some, none = group("some", 50 + rng.normal(size=2), failed=1), group("none", [], failed=3)
    pairs = [(group(f"v{k}", 50 + rng.normal(size=3)), base) for k in range(6)]
    page = Contrasts([*pairs, (some, base), (none, base)])
    found, nothing = page.contrast(some, base), page.contrast(none, base)
    assert found.verdict == nothing.verdict == Outcome.DID_NOT_TRAIN
    assert (found.failed, found.ended, found.n) == (1, 3, 2)
    assert found.gain == pytest.approx(0, abs=4)
    assert not found.trained
    assert math.isnan(nothing.gain)
    assert nothing.rate_p == pytest.approx(1 / 56)
    assert page.tested == 6
    frail = group("frail", 50 + rng.normal(size=4), failed=1)
    assert Contrasts([(some, frail), *pairs]).contrast(some, frail).verdict != Outcome.DID_NOT_TRAIN


def test_one_run_makes_no_claim() -> None:
    base = group("b", [50.0, 51.0, 49.0])
    page = Contrasts([(group("a", [50.0, 52.0]), base), (one := group("one", [90.0]), base)])
    found = page.contrast(one, base)
    assert not found.tested
    assert not found.decided
    assert found.gain == pytest.approx(40)
    assert page.contrast(group("empty", []), base).n == 0


def test_an_unstable_variant_keeps_its_own_variance_and_leaves_the_others_theirs() -> None:
    rng = np.random.default_rng(7)
    base = group("b", rng.normal(size=5))
    own = [group(f"v{k}", rng.normal(size=3)) for k in range(30)]
    wild = group("wild", [-9.0, 0.0, 9.0])
    without, with_it = (Contrasts([(one, base) for one in ones]) for ones in (own, [*own, wild]))
    assert with_it.contrast(wild, base).error > 3 * with_it.contrast(own[0], base).error
    for one in own:
        assert with_it.contrast(one, base).error == pytest.approx(without.contrast(one, base).error, rel=0.15)


def test_seeds_needed_show_a_gain_with_a_power_of_four_in_five() -> None:
    _, contrasts = World(MIXED).page(np.random.default_rng(8))
    one = contrasts[0]
    needed = seeds_needed(one, 1.0, 0.02)
    assert needed is not None
    power = [stats.norm.sf(stats.norm.isf(0.01) - math.sqrt(seeds) / one.sd) for seeds in (needed - 1, needed)]
    assert power[0] < 0.8 <= power[1]
    assert seeds_needed(one, 0.001, 0.05) is None
    assert seeds_needed(one, 100.0, 0.05) == 2
    assert detectable(one) > one.half
    assert math.isnan(detectable(replace(one, half=math.nan)))
