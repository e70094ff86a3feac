from __future__ import annotations

import subprocess
import sys

import pytest

from raysweep.errors import RaysweepError
from raysweep.optim.schedules import learning_rate
from raysweep.patch import patch
from raysweep.recipe import Recipe, ScheduleRecipe

LINEAR = patch(Recipe(), {"schedule.name": "linear"}).schedule


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [(0, 1e-2), (99_999, 1e-2), (100_000, 1e-3), (199_999, 1e-3), (200_000, 1e-4), (300_000, 1e-5), (319_999, 1e-5)],
)
def test_step_is_the_papers(iteration: int, expected: float) -> None:
    assert learning_rate(ScheduleRecipe(), 0.01, iteration, 320_000) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("iteration", "expected"), [(0, 0.01), (160_000, 0.005), (319_999, 0.01 / 320_000)])
def test_linear_falls_to_0(iteration: int, expected: float) -> None:
    assert learning_rate(LINEAR, 0.01, iteration, 320_000) == pytest.approx(expected, rel=1e-6)


def test_a_training_of_one_update_has_a_rate() -> None:
    assert learning_rate(ScheduleRecipe(), 0.01, 0, 1) == 0.01
    assert learning_rate(LINEAR, 0.01, 0, 1) == 0.01


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(RaysweepError, match="unknown schedule 'stpe'. Did you mean step"):
        learning_rate(ScheduleRecipe(name="stpe"), 0.01, 0, 1)


def test_schedules_need_no_torch() -> None:
    code = "import sys, raysweep.optim.schedules; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
