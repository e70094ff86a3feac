"""When runs are looked at: the shares of error, against simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raysweep.deciding.looks import LOOKS, Look, baseline_runs, crossing


@pytest.mark.parametrize("variants", [1, 4, 25, 100])
def test_no_look_together_spends_more_than_the_level(variants: int) -> None:
    for level in (0.05, 0.05 / variants):
        assert 0.5 * level < crossing(level, variants) <= level


def test_one_look_errs_with_its_share_of_the_level() -> None:
    assert crossing(0.05, 4, [Look(5, 0.4)]) == pytest.approx(0.02, rel=1e-9)


def test_the_probability_of_crossing_is_that_of_simulated_runs() -> None:
    rng, studies, variants, level = np.random.default_rng(0), 40_000, 4, 0.2
    looks = LOOKS[:6]
    runs = rng.normal(size=(studies, looks[-1].runs))
    baseline = rng.normal(size=(studies, baseline_runs(looks[-1].runs, variants)))
    crossed = np.zeros(studies, dtype=bool)
    for look in looks:
        base = baseline_runs(look.runs, variants)
        gain = runs[:, : look.runs].mean(axis=1) - baseline[:, :base].mean(axis=1)
        crossed |= np.abs(gain) / np.sqrt(1 / look.runs + 1 / base) > stats.norm.isf(level * look.share / 2)
    assert crossing(level, variants, looks) == pytest.approx(crossed.mean(), abs=4 * np.sqrt(level / studies))


def test_the_baseline_gets_the_root_of_the_number_of_variants_for_each_run_then_one_for_one() -> None:
    assert [baseline_runs(runs, 25) for runs in (2, 3, 6, 8)] == [10, 15, 30, 32]
