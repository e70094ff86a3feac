from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.dunnett import EQUAL_LOAD, adjusted, critical, within


@pytest.mark.parametrize("df", [1, 3, 10, 1000])
def test_one_comparison_is_students(df: int) -> None:
    values = np.array([0.1, 1.0, 3.0, 10.0])
    found = [adjusted(values[[k]], np.array([EQUAL_LOAD]), df)[0] for k in range(len(values))]
    assert found == pytest.approx(2 * stats.t.sf(values, df), abs=2e-5)
    assert critical(np.array([EQUAL_LOAD]), df, 0.95) == pytest.approx(stats.t.ppf(0.975, df))


@pytest.mark.parametrize(
    ("variants", "df", "table"), [(2, 5, 3.03), (2, 10, 2.57), (9, 20, 2.95), (3, 10, 2.76), (9, 60, 2.77)]
)
def test_critical_values_are_those_of_dunnetts_table(variants: int, df: int, table: float) -> None:
    """Two-sided, 5 %: Dunnett, "New tables for multiple comparisons with a control", Biometrics 1964, table II."""
    assert critical(np.full(variants, EQUAL_LOAD), df, 0.95) == pytest.approx(table, abs=0.006)


@pytest.mark.parametrize("sizes", [(6, 6, 6), (5, 3, 3, 4, 8)])
def test_without_blocks_it_is_scipys(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    control, *others = (rng.normal(0.4 * k, 1, size) for k, size in enumerate(sizes))
    reference = stats.dunnett(*others, control=control, rng=np.random.default_rng(0))
    loads = np.sqrt([len(other) / (len(other) + len(control)) for other in others])
    found = adjusted(reference.statistic, loads, sum(sizes) - len(sizes))
    assert found == pytest.approx(reference.pvalue, abs=2e-3)  # scipy integrates at random


def test_it_is_the_multivariate_t() -> None:
    loads = EQUAL_LOAD * np.sqrt([1, 1, 2 / 3, 1])
    shape = np.outer(loads, loads)
    np.fill_diagonal(shape, 1)
    for bound in (0.8, 2.0, 3.0):
        box = np.full(4, bound)
        expected = stats.multivariate_t.cdf(box, shape=shape, df=8, lower_limit=-box, random_state=0, maxpts=200_000)
        assert within(bound, loads, 8)[0] == pytest.approx(expected, abs=1e-4)


def test_more_comparisons_are_less_sure_than_one_and_surer_than_bonferroni() -> None:
    p = adjusted(np.full(6, 2.5), np.full(6, EQUAL_LOAD), 12)
    alone = 2 * stats.t.sf(2.5, 12)
    assert alone < p[0] < 6 * alone


def test_an_infinite_statistic_is_certain() -> None:
    assert adjusted(np.array([math.inf, 0.0]), np.full(2, EQUAL_LOAD), 4) == pytest.approx([0, 1], abs=1e-6)
