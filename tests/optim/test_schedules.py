from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from raysweep.errors import RaysweepError
from raysweep.optim.schedules import SCHEDULES, learning_rate
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


def rate(iteration: int, iterations: int = 1000, **fields: object) -> float:
    recipe = patch(Recipe(), {f"schedule.{name}": value for name, value in fields.items()}).schedule
    return learning_rate(recipe, 1.0, iteration, iterations)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_poly_is_caffes(power: float) -> None:
    found = [rate(iteration, name="poly", power=power) for iteration in (0, 500, 999)]
    assert found == pytest.approx([1, 0.5**power, 0.001**power])


def test_poly_of_power_1_is_linear() -> None:
    assert [rate(k, name="poly") for k in range(0, 1000, 7)] == [rate(k, name="linear") for k in range(0, 1000, 7)]


def test_cosine_is_torchs() -> None:
    solver = torch.optim.SGD([torch.zeros(1)], 1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(solver, 1000)
    for iteration in range(1000):
        assert rate(iteration, name="cosine") == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        solver.step()
        theirs.step()


def test_linear_cosine_is_tensorflows() -> None:
    """Starts at 1.001 and ends at 0.001 times the base rate with the defaults."""
    assert rate(0, name="linear_cosine") == pytest.approx(1.001)
    assert rate(500, name="linear_cosine") == pytest.approx(0.5 * 0.5 + 0.001)
    assert rate(999_999, 1_000_000, name="linear_cosine") == pytest.approx(0.001, abs=1e-6)
    other = {"periods": 2.0, "alpha": 0.3, "beta": 0.1}
    expected = (0.3 + 0.75) * 0.5 * (1 + math.cos(2 * math.pi * 2.0 * 0.25)) + 0.1
    assert rate(250, name="linear_cosine", **other) == pytest.approx(expected)


def test_a_floor_is_torchs_smallest_rate() -> None:
    """ENAS' rates from 0.05 to 0.0005, as shares of the first."""
    solver = torch.optim.SGD([torch.zeros(1)], 1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(solver, 100, 2, eta_min=0.01)
    for iteration in range(700):
        found = rate(iteration, 700, name="warm_restarts", cycles=3, floor=0.01)
        assert found == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), iteration
        solver.step()
        theirs.step()


@pytest.mark.parametrize("cycles", [1, 2, 3, 4])
def test_warm_restarts_are_torchs(cycles: int) -> None:
    first = 120
    iterations = first * (2**cycles - 1)
    solver = torch.optim.SGD([torch.zeros(1)], 1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(solver, first, 2)
    for iteration in range(iterations):
        found = rate(iteration, iterations, name="warm_restarts", cycles=cycles)
        assert found == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), iteration
        solver.step()
        theirs.step()


def torchs_one_cycle(iterations: int, warmup: float) -> list[float]:
    """The cosine part of torch's scheduler; its rise is a cosine too unless both are linear."""
    found: dict[str, list[float]] = {}
    for strategy in ("cos", "linear"):
        solver = torch.optim.SGD([torch.zeros(1)], 1.0, momentum=0.9)
        theirs = torch.optim.lr_scheduler.OneCycleLR(
            solver, 1.0, total_steps=iterations, pct_start=warmup, anneal_strategy=strategy, cycle_momentum=False
        )
        found[strategy] = []
        for _ in range(iterations):
            found[strategy].append(theirs.get_last_lr()[0])
            solver.step()
            if len(found[strategy]) < iterations:
                theirs.step()
    peak = round(warmup * iterations) - 1
    return found["linear"][: peak + 1] + found["cos"][peak + 1 :]


def test_one_cycle_is_torchs() -> None:
    """torch puts the peak one update earlier than a share of the whole: the same but for that shift."""
    theirs = torchs_one_cycle(1001, 301 / 1001)
    ours = [rate(k, 1001, name="one_cycle", warmup_fraction=0.3) for k in range(1001)]
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert (ours[0], max(ours), ours[-1]) == pytest.approx((1 / 25, 1, 1 / 250_000))


@pytest.mark.parametrize("name", [entry.name for entry in SCHEDULES])
@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 100])
def test_every_schedule_stays_above_0_whatever_the_length(name: str, iterations: int) -> None:
    for iteration in range(iterations):
        assert 0 < rate(iteration, iterations, name=name) <= 1.001


def test_a_training_of_one_update_has_a_rate() -> None:
    assert learning_rate(ScheduleRecipe(), 0.01, 0, 1) == 0.01
    assert learning_rate(LINEAR, 0.01, 0, 1) == 0.01


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(RaysweepError, match="schedule 'stpe'.*step"):
        learning_rate(ScheduleRecipe(name="stpe"), 0.01, 0, 1)


def test_schedules_need_no_torch() -> None:
    code = "import sys, raysweep.optim.schedules; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
