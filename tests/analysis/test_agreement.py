from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raysweep.analysis.load import Line
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.agreement import agree, taus, with_published
from raysweep.analysis.statistics.comparisons import comparable_tops, tops


def test_tau_is_scipys_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(5, size=(2, 40, 9)).astype(float)
    expected = [stats.kendalltau(one, other).statistic for one, other in zip(first, second, strict=True)]
    assert taus(first, second) == pytest.approx(expected)


def test_agreement_with_the_published_order(line: Line) -> None:
    found = with_published(line)
    paper = published_study("activation", "relu")["published_top1"].dropna()
    ours = tops(line).mean().dropna()
    both = ours.index.intersection(paper.index)
    assert found is not None
    assert found.n == len(both)
    assert found.tau == pytest.approx(stats.kendalltau(ours[both], paper[both]).statistic)
    assert -1 <= found.low < found.tau < found.high <= 1
    assert str(found).startswith(f"{found.tau:.2f} (")


def test_few_variants_have_no_interval_and_two_no_order() -> None:
    up = np.arange(4.0)[None]
    few = agree(up, up[:, ::-1])
    assert few is not None
    assert few.tau == -1
    assert math.isnan(few.low)
    assert str(few) == "−1.00"
    assert agree(up[:, :2], up[:, :2]) is None
    assert agree(np.ones((2, 5)), np.arange(5.0)[None]) is None


def test_noise_between_seeds_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    order = np.arange(12.0)
    quiet, noisy = (agree(order + rng.normal(0, sd, (3, 12)), order[None]) for sd in (0.01, 6.0))
    assert quiet is not None
    assert noisy is not None
    assert noisy.high - noisy.low > quiet.high - quiet.low


def test_extra_seeds_of_the_baseline_do_not_change_it(line: Line) -> None:
    last, seeds = line.trials["seed"].max(), line.trials["seed"]
    without = replace(line, trials=line.trials[seeds < last])
    own = line.trials[(seeds < last) | (line.trials["variant"] == line.baseline)]
    lucky = own.assign(top1=own["top1"].mask(own["seed"] == last, 0.99))
    assert comparable_tops(replace(line, trials=lucky)).equals(comparable_tops(without))
    assert with_published(replace(line, trials=lucky)) == with_published(without)
