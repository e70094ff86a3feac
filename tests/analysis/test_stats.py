from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.load import Line, load_lines
from analysis.published import published, published_top1
from analysis.stats import estimate, gains, top1
from analysis.tables import markdown, readable, summary
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.results.store import Store
from tests.analysis.conftest import fill


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12))
def test_the_interval_is_scipys(values: list[float]) -> None:
    found = estimate(values)
    sample = stats.ttest_1samp(values, 0).confidence_interval(0.95) if len(set(values)) > 1 else None
    if sample is not None:
        assert found.mean - found.half == pytest.approx(sample.low, abs=1e-9)
        assert found.mean + found.half == pytest.approx(sample.high, abs=1e-9)
    assert found.n == len(values)


def test_the_closed_form_of_two_values() -> None:
    found = estimate([1.0, 3.0])
    assert found.mean == 2
    assert found.half == pytest.approx(12.7062, abs=1e-3)  # t(0.975, 1) times a standard error of 1
    assert not found.excludes_0
    assert estimate([1.0, 1.1]).excludes_0 is (1.05 > 12.7062 * 0.05)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert estimate([2.5]).mean == 2.5
    assert math.isnan(estimate([2.5]).half)
    assert not estimate([2.5]).excludes_0
    assert math.isnan(estimate([]).mean)
    assert estimate([]).n == 0


def test_gains_are_paired_by_seed(line: Line) -> None:
    tops = line.finished.set_index(["variant", "seed"])["top1"]
    expected = [100 * (tops["elu", seed] - tops["relu", seed]) for seed in range(3)]
    found = gains(line)
    assert found["elu"].n == 3
    assert found["elu"].mean == pytest.approx(sum(expected) / 3)
    assert found["elu"].half == pytest.approx(estimate(expected).half)
    assert found["relu"].mean == 0
    assert found["arcsinh"].n == found["selu"].n == 0
    assert top1(line)["elu"].mean == pytest.approx(100 * sum(tops["elu", seed] for seed in range(3)) / 3)


def test_a_seed_without_its_baseline_does_not_count(store: Store) -> None:
    (line,) = load_lines(store, ["activation"])
    cut = line.trials[~((line.trials["variant"] == "relu") & (line.trials["seed"] == 2))]
    other = Line(line.study, line.protocol, line.line, line.baseline, cut, line.epochs)
    assert gains(other)["elu"].n == 2
    none = Line(line.study, line.protocol, line.line, line.baseline, cut[cut["variant"] != "relu"], line.epochs)
    assert gains(none)["elu"].n == 0


def test_published_numbers_are_the_papers() -> None:
    assert len(published()) == 358
    paper = published_top1("activation")
    assert len(paper) == 24
    assert (paper["relu"], paper["maxout_same_width"], paper["linear_nopool"]) == (0.471, 0.517, 0.035)
    assert published_top1("no such study") == {}


def test_the_table_has_every_variant_and_its_numbers(line: Line) -> None:
    frame = summary(line).set_index("variant")
    assert len(frame) == 26
    assert frame.loc["elu", "published_gain"] == pytest.approx(1.7)
    assert math.isnan(frame.loc["relu", "gain"])
    assert math.isnan(frame.loc["sigmoid", "published_top1"])
    assert frame.loc["relu", "params"] == 11_239_306
    assert frame.loc["arcsinh", "ends"] == "3 diverged"
    text = readable(summary(line)).set_index("variant")
    assert " ± " in text.loc["elu", "gain (95 %)"]
    assert text.loc["selu", "top-1, % (95 %)"] == "–"
    assert markdown(summary(line)).count("\n") == 28


def test_settings_that_differ_are_two_lines(store: Store) -> None:
    fill(store, Request(("activation",), "cifar10", {"training.epochs": 9.0}, seeds=1))
    first, second = sorted(load_lines(store, ["activation"]), key=lambda line: line.settings()["training.epochs"])
    assert first.settings() == {"training.epochs": 4.0}
    assert second.settings() == {"training.epochs": 9.0}
    assert set(first.trials["trial"]).isdisjoint(second.trials["trial"])


def test_a_study_that_is_not_there(store: Store) -> None:
    with pytest.raises(RaysweepError, match="no results of study 'pooling'.*Known: activation"):
        load_lines(store, ["pooling"])
