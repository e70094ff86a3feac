from __future__ import annotations

import math

import pytest
from raysweep.analysis.statistics.across import lost, q_values
from scipy import stats

from raysweep.analysis.statistics.comparisons import Comparison, Comparisons, Estimate
from raysweep.analysis.statistics.power import MOST_SEEDS, detectable, detectable_sds, seeds_needed


def a_line(*p: float, sd: float = 1.0) -> Comparisons:
    of = {f"v{k}": Comparison(Estimate(1.0, 1.0, 3), value, 0, 3) for k, value in enumerate(p)}
    return Comparisons(of, sd, 10, math.nan)


def test_the_best_of_each_study_has_benjamini_and_hochbergs_p() -> None:
    lines = [a_line(0.001, 0.9), a_line(0.03), a_line(0.04, 0.2), a_line(0.5)]
    found = [min(q.values()) for q in q_values(lines)]
    assert found == pytest.approx(stats.false_discovery_control([0.001, 0.03, 0.04, 0.5]))


def test_a_claim_is_one_at_the_level_of_the_studies_picked() -> None:
    lines = [a_line(0.001, 0.02, 0.03), a_line(0.5), a_line(0.6)]
    q = q_values(lines)[0]
    assert q["v0"] <= 0.05  # 1 of 3 studies is picked, so its level is 5 % / 3
    assert 0.05 < q["v1"] < q["v2"]
    assert lost(lines[0], q) == ["v1", "v2"]


def test_a_single_study_keeps_its_p_and_one_without_comparisons_does_not_count() -> None:
    nothing = Comparisons({}, math.nan, 0, math.nan)
    q, none = q_values([a_line(0.01, 0.2), nothing])
    assert q == pytest.approx({"v0": 0.01, "v1": 0.2})
    assert none == {}


def test_seeds_needed_are_the_fewest_that_detect() -> None:
    line = a_line(0.2, 0.3, 0.4, sd=2.0)
    needed = seeds_needed(3.0, line)
    assert needed is not None
    assert 2.0 * detectable_sds(needed, 3) <= 3.0 < 2.0 * detectable_sds(needed - 1, 3)
    assert detectable(line) == pytest.approx(2.0 * detectable_sds(3, 3))
    assert seeds_needed(1000.0, line) == 2
    assert seeds_needed(0.001, line) is None
    assert seeds_needed(0.0, line) is None
    assert detectable_sds(MOST_SEEDS, 3) < 0.5
