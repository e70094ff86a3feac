from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.page.words import controlled, headline
from raysweep.analysis.statistics.comparisons import (
    Estimate,
    comparisons,
    contrast,
    ends,
    estimate,
    gains,
    groups,
    on_one_page,
    page,
    run_gains,
    top1,
    tops,
)
from raysweep.deciding.verdicts import Outcome


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


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert estimate([2.5]).mean == 2.5
    assert math.isnan(estimate([2.5]).half)
    assert math.isnan(estimate([]).mean)
    assert estimate([]).n == 0


def test_a_gain_is_over_all_runs_of_the_baseline(line: Line) -> None:
    more = line.trials[line.trials["variant"] == "relu"].assign(seed=lambda rows: rows["seed"] + 3)
    more = more.assign(trial=more["trial"] + "x", top1=more["top1"] + 0.03)
    longer = replace(line, trials=pd.concat([line.trials, more], ignore_index=True))
    assert page(longer).shared["cifar10"] < 0.2
    assert gains(line)["elu"].mean - gains(longer)["elu"].mean == pytest.approx(1.5, abs=0.3)
    assert np.mean(run_gains(line)["elu"]) == pytest.approx(tops(line)["elu"].mean() - tops(line)["relu"].mean())


def with_top1(line: Line, variant: str, change: Callable[[pd.Series], Any]) -> Line:
    """The line with other accuracies of one variant, by its rows."""
    trials = line.trials.copy()
    own = trials["variant"] == variant
    trials.loc[own, "top1"] = change(trials.loc[own])
    return replace(line, trials=trials)


def test_equal_trials_have_equal_numbers_in_every_study_of_a_page(line: Line) -> None:
    """The same variant in a study with few variants and in one with many."""
    few = line.trials[line.trials["variant"].isin(["relu", "elu", "tanh"])]
    wild = few.assign(study="another").reset_index(drop=True)
    one, other = on_one_page([line, replace(line, study="another", trials=wild)])
    assert contrast(one, "elu", "relu") is contrast(other, "elu", "relu")
    assert comparisons(one)["tanh"] == comparisons(other)["tanh"]
    back = contrast(other, "relu", "elu")
    assert (back.gain, back.half) == pytest.approx((-gains(one)["elu"].mean, gains(one)["elu"].half))
    assert f"of {page(one).tested} " in controlled([one, other])
    assert page(one).tested == sum(found.tested for found in comparisons(one).values())


def test_runs_at_the_accuracy_of_guessing_did_not_train(line: Line) -> None:
    low = with_top1(line, "elu", lambda rows: rows["top1"].where(rows["seed"] > 0, 0.1))
    found = comparisons(low)["elu"]
    assert (found.verdict, found.failed, found.ended, found.n) == (Outcome.DID_NOT_TRAIN, 1, 3, 2)
    assert tops(low)["elu"].notna().sum() == 2
    assert top1(low)["elu"].mean == pytest.approx(tops(line)["elu"][1:].mean())
    assert "elu (1 of 3" in headline(low)


def test_a_variant_that_diverged_did_not_train(line: Line) -> None:
    trials = with_top1(line, "elu", lambda rows: rows["top1"] + 0.3).trials.copy()
    trials.loc[(trials["variant"] == "elu") & (trials["seed"] == 0), ["status", "top1"]] = ["diverged", None]
    cut = replace(line, trials=trials)
    assert comparisons(cut)["elu"].n == 2
    assert comparisons(cut)["elu"].verdict == Outcome.DID_NOT_TRAIN
    assert "elu (1 of 3" in headline(cut)
    assert not re.search(r"\belu \(\+", headline(cut))
    assert ends(cut.trials)["elu"] == "1 of 3 diverged, 2 of 3 finished"


def test_equal_results_are_certain(line: Line) -> None:
    same = replace(line, trials=line.trials.assign(top1=0.5))
    found = comparisons(same)["elu"]
    assert (found.gain, found.half) == pytest.approx((0, 0), abs=1e-4)
    assert found.verdict == Outcome.EQUAL
    assert comparisons(with_top1(same, "elu", lambda _: 0.6))["elu"].verdict == Outcome.BETTER


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


def test_a_run_counts_without_its_partner(line: Line) -> None:
    trials = line.trials
    cut = replace(line, trials=trials[~((trials["variant"] == "relu") & (trials["seed"] == 2))])
    assert gains(cut)["elu"].n == top1(cut)["elu"].n == 3
    none = replace(line, trials=trials[trials["variant"] != "relu"])
    assert math.isnan(gains(none)["elu"].mean)
    assert len(groups(none)["elu"].values) == 3


def test_numbers_as_text() -> None:
    gain = METRICS["gain"]
    assert Estimate(-1.25, 0.5, 3).text(gain) == "−1.2 ± 0.5"
    assert Estimate(1.0, math.nan, 1).text(gain) == "+1.0"
    assert Estimate(math.nan, math.nan, 0).text(gain) == "–"
    assert METRICS["params"].text(13_300_072) == "13.3 M"
