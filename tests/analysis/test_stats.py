from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.load import Line
from analysis.metrics import METRICS, metric
from analysis.stats import Estimate, estimate, gains, seed_gains, top1
from raysweep.errors import RaysweepError


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12).filter(lambda values: max(values) - min(values) > 1e-3))
def test_the_interval_is_scipys(values: list[float]) -> None:
    found = estimate(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean - found.half == pytest.approx(expected.low, abs=1e-9)
    assert found.mean + found.half == pytest.approx(expected.high, abs=1e-9)
    assert found.n == len(values)


def test_the_closed_form_of_two_values() -> None:
    found = estimate([1.0, 3.0])
    assert found.mean == 2
    assert found.half == pytest.approx(math.tan(math.pi * 0.475))  # t with one degree of freedom is Cauchy; error is 1
    assert not found.excludes_0
    assert estimate([1.0, 1.01]).excludes_0


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert estimate([2.5]).mean == 2.5
    assert math.isnan(estimate([2.5]).half)
    assert not estimate([2.5]).excludes_0
    assert math.isnan(estimate([]).mean)
    assert estimate([]).n == 0


def test_gains_are_paired_by_seed(line: Line) -> None:
    tops = line.finished.set_index(["variant", "seed"])["top1"]
    expected = [100 * (tops["elu", seed] - tops["relu", seed]) for seed in range(3)]
    found = gains(line)["elu"]
    assert seed_gains(line)["elu"] == pytest.approx(expected)
    paired = stats.ttest_rel(tops["elu"], tops["relu"]).confidence_interval(0.95)
    assert found.n == 3
    assert found.mean - found.half == pytest.approx(100 * paired.low)
    assert found.mean + found.half == pytest.approx(100 * paired.high)


def test_gains_of_the_baseline_and_of_what_did_not_finish(line: Line) -> None:
    found = gains(line)
    assert found["relu"].mean == 0
    assert found["arcsinh"].n == found["selu"].n == found["oplu"].n == found["apl5"].n == 0
    assert list(found) == line.variants


def test_top1_is_that_of_the_last_epoch(line: Line) -> None:
    last = line.epochs[line.epochs["epoch"] == 4]
    expected = 100 * last.loc[last["variant"] == "elu", "top1"].mean()
    assert top1(line)["elu"].mean == pytest.approx(expected)
    assert top1(line)["arcsinh"].n == 0


def test_a_seed_counts_where_both_finished(line: Line) -> None:
    trials = line.trials
    cut = replace(line, trials=trials[~((trials["variant"] == "relu") & (trials["seed"] == 2))])
    assert gains(cut)["elu"].n == 2
    assert top1(cut)["elu"].n == 3
    none = replace(line, trials=trials[trials["variant"] != "relu"])
    assert gains(none)["elu"].n == 0


def test_numbers_as_text() -> None:
    gain = METRICS["gain"]
    assert Estimate(-1.25, 0.5, 3).text(gain) == "−1.2 ± 0.5"
    assert Estimate(1.0, math.nan, 1).text(gain) == "+1.0"
    assert Estimate(math.nan, math.nan, 0).text(gain) == "–"
    assert METRICS["params"].text(13_300_072) == "13.3 M"
    with pytest.raises(RaysweepError, match="unknown metric 'gian'.*gain"):
        metric("gian")
