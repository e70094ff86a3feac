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
from raysweep.analysis.page.words import headline, trust
from raysweep.analysis.statistics.comparisons import (
    Estimate,
    comparisons,
    contrast,
    ends,
    estimate,
    gains,
    seed_gains,
    top1,
    tops,
)
from raysweep.analysis.statistics.dunnett import critical


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
    assert found.n == 3
    assert found.mean == pytest.approx(np.mean(expected))


def test_intervals_are_dunnetts_over_the_whole_line(line: Line) -> None:
    table = tops(line).dropna(axis=1).to_numpy()
    seeds, variants = table.shape
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    df = (seeds - 1) * (variants - 1)
    error = math.sqrt((left**2).sum() / df * 2 / seeds)
    half = critical(np.full(variants - 1, math.sqrt(0.5)), df, 0.95) * error
    found = comparisons(line)
    assert found.df == df
    assert [found.of[name].gain.half for name in found.family] == pytest.approx([half] * (variants - 1))
    for name in found.family:
        one = found.of[name]
        assert (one.p <= 0.05) == one.gain.excludes_0


def with_top1(line: Line, variant: str, change: Callable[[pd.Series], Any]) -> Line:
    """The line with other accuracies of one variant, by its rows."""
    trials = line.trials.copy()
    own = trials["variant"] == variant
    trials.loc[own, "top1"] = change(trials.loc[own])
    return replace(line, trials=trials)


def test_a_variant_that_diverged_is_not_called_better(line: Line) -> None:
    high = with_top1(line, "elu", lambda rows: rows["top1"] + 0.3)
    assert comparisons(high).of["elu"].verdict() == "better"
    trials = high.trials.copy()
    trials.loc[(trials["variant"] == "elu") & (trials["seed"] == 0), ["status", "top1"]] = ["diverged", None]
    cut = replace(high, trials=trials)
    assert comparisons(cut).of["elu"].gain.n == 2
    assert comparisons(cut).of["elu"].verdict() == "not better: diverged"
    assert "elu (1 of 3)" in headline(cut)
    assert re.findall(r"\belu \(([^)]*)\)", headline(cut)) == ["1 of 3"], "its gain is not among the better ones"
    assert ends(cut.trials)["elu"] == "1 of 3 diverged, 2 of 3 finished"


def test_trials_that_two_variants_share_count_once(line: Line) -> None:
    twin = line.trials[line.trials["variant"] == "elu"].assign(variant="twin", order=99)
    both = replace(line, trials=pd.concat([line.trials, twin], ignore_index=True))
    assert comparisons(both).df == comparisons(line).df
    assert comparisons(both).sd == pytest.approx(comparisons(line).sd)
    assert seed_gains(both)["twin"] == seed_gains(both)["elu"]


def test_equal_results_are_certain(line: Line) -> None:
    same = replace(line, trials=line.trials.assign(top1=0.5))
    found = comparisons(same).of["elu"]
    assert (found.gain.mean, found.gain.half, found.p) == (0, 0, pytest.approx(1, abs=1e-6))
    shifted = with_top1(same, "elu", lambda _: 0.6)
    assert comparisons(shifted).of["elu"].verdict() == "better"


def test_doubtful_errors_are_resampled_where_there_are_seeds_enough(line: Line) -> None:
    whole = line.finished[line.finished["variant"].isin(["relu", "elu", "tanh"])]
    seeds = pd.concat([whole.assign(seed=whole["seed"] + 3 * k) for k in range(4)], ignore_index=True)
    ids = [f"{variant}{seed}" for variant, seed in zip(seeds["variant"], seeds["seed"], strict=True)]
    drawn = np.random.default_rng(0).normal(0, 0.001, len(seeds))
    drawn[0] = 0.2  # one trial of one seed
    wild = replace(line, trials=seeds.assign(trial=ids, top1=0.4 + drawn))
    found = comparisons(wild)
    assert found.doubtful
    low, high = found.of["elu"].bootstrap or (0, 0)
    assert low < found.of["elu"].gain.mean < high
    assert "BCa" in " ".join(trust(wild))
    few = replace(wild, trials=wild.trials[wild.trials["seed"] < 6])
    assert comparisons(few).of["elu"].bootstrap is None
    assert "BCa" not in " ".join(trust(few))


def test_a_contrast_of_two_variants(line: Line) -> None:
    gain, p = contrast(line, "elu", "tanh")
    of_seeds = seed_gains(line)
    assert gain.mean == pytest.approx(np.mean(of_seeds["elu"]) - np.mean(of_seeds["tanh"]))
    assert (p <= 0.05) == gain.excludes_0
    assert gain.half < comparisons(line).of["elu"].gain.half  # one comparison, not one of many
    assert math.isnan(contrast(line, "elu", "selu")[1])


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
