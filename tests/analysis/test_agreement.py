from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raysweep.analysis.load import Line
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.agreement import agree, in_order, over_variants, permutation_p, taus, with_published
from raysweep.analysis.statistics.comparisons import tops
from raysweep.analysis.statistics.ranks import chances, ranked


def test_tau_is_scipys_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(5, size=(2, 40, 9)).astype(float)
    expected = [stats.kendalltau(one, other).statistic for one, other in zip(first, second, strict=True)]
    assert taus(first, second) == pytest.approx(expected)


def test_agreement_with_the_published_order(line: Line) -> None:
    found = with_published(line)
    paper = published_study("activation", "relu")["published_top1"].dropna()
    ours = tops(line).mean().dropna()
    both = [name for name in ours.index if name in paper.index]
    assert found is not None
    assert found.n == len(both) + 2  # and the two that did not train
    assert found.pairs > found.in_order > found.pairs / 2
    assert -1 <= found.low < found.tau < found.high <= 1
    assert found.p < 0.05
    assert str(found).startswith(f"{found.tau:.2f} (")


def test_pairs_in_order_are_counted_by_hand() -> None:
    ours, paper = np.array([3.0, 2.0, 2.0, 5.0]), np.array([3.0, 2.0, 1.0, 3.0])
    # (0,1) (0,2) (1,3) (2,3) as published, (1,2) a tie of ours, (0,3) a tie of theirs
    assert in_order(ours, paper) == (4.5, 5)


@pytest.mark.parametrize("n", [5, 7, 9])
def test_the_p_of_an_order_is_exact(n: int) -> None:
    values = np.arange(float(n))
    assert permutation_p(values, values, 1.0) == pytest.approx(2 / math.factorial(n))


def test_the_p_with_ties_counts_permutations() -> None:
    ours, tied = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 2.0, 2.0])
    tau = float(stats.kendalltau(ours, tied).statistic)
    assert permutation_p(ours, tied, tau) == pytest.approx(8 / 24)  # the low two first, or last: 2 x 2! x 2!
    many = np.arange(12.0)
    assert permutation_p(many, many // 2, 0.9) < 0.01


def test_few_variants_have_no_interval_and_two_no_order() -> None:
    up = np.arange(4.0)
    few = agree(up, up[::-1], (up[None], up[None]))
    assert few is not None
    assert few.tau == -1
    assert math.isnan(few.low)
    assert str(few) == "−1.00"
    assert agree(up[:2], up[:2]) is None
    assert agree(np.ones(5), np.arange(5.0)) is None


def test_noise_between_seeds_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    order = np.arange(12.0)
    quiet, noisy = (agree(order, order, (order + rng.normal(0, sd, (2000, 12)), order[None])) for sd in (0.01, 6.0))
    assert quiet is not None
    assert noisy is not None
    assert noisy.high - noisy.low > quiet.high - quiet.low


def test_an_interval_over_architectures_is_wider_than_one_of_certain_values() -> None:
    ours, other = np.arange(12.0), np.random.default_rng(0).permutation(12).astype(float)
    found = agree(ours, other, over_variants(ours, other))
    assert found is not None
    assert found.low < found.tau < found.high


def test_what_did_not_train_comes_last(line: Line) -> None:
    order = ranked(line)
    assert set(order.index[-2:]) == {"arcsinh", "linear_nopool"}
    assert order.iloc[-1] == order.iloc[-2] < order.iloc[-3]
    assert chances(line)["arcsinh"] == (0.0, 0.0)


def test_chances_add_up(line: Line) -> None:
    found = chances(line)
    assert sum(best for best, _ in found.values()) == pytest.approx(1)
    assert sum(top for _, top in found.values()) == pytest.approx(3)
    assert all(0 <= best <= top <= 1 for best, top in found.values())
    one = replace(line, trials=line.trials[line.trials["seed"] == 0])
    assert chances(one) == {}
