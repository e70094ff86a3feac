from __future__ import annotations

import json
from dataclasses import replace

import pytest

from raysweep import pace as pace_module
from raysweep.cost import Cost
from raysweep.disk.cache import cache_folder
from raysweep.errors import RaysweepError
from raysweep.pace import Pace, keep, num_tested, recalled
from raysweep.patch import patch
from raysweep.planning import Found, make_plan
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study

DEMO = find_protocol("demo")
"""4,000 + 1,000 images, batches of 32, 4 epochs."""
MACS = 3_000_000
PACE = Pace(1000.0, 5000.0, start_s=0.5, macs=MACS, workers=2, measured="2026-11-30")
TRIAL_S = 0.5 + 4 * (4000 / 1000 + 1000 / 5000)


def test_the_seconds_of_a_trial_follow_its_length_its_tests_and_its_network() -> None:
    cost = Cost(1, MACS, 1)
    assert PACE.trial_s(DEMO, cost) == pytest.approx(TRIAL_S)
    assert PACE.trial_s(DEMO, replace(cost, macs=2 * MACS)) == pytest.approx(0.5 + 2 * (TRIAL_S - 0.5))
    both = replace(PACE, activations=10)
    assert both.trial_s(DEMO, Cost(1, 4 * MACS, 20)) == pytest.approx(0.5 + 3 * (TRIAL_S - 0.5))
    half = patch(DEMO, {"data.train_fraction": 0.5, "training.epochs": 8.0})
    assert PACE.trial_s(half, cost) == pytest.approx(TRIAL_S + 4 * 1000 / 5000)
    held = patch(DEMO, {"data.holdout": 0.25})
    assert num_tested(held) == 1000
    assert PACE.trial_s(held, cost) == pytest.approx(0.5 + 4 * (3000 / 1000 + 1000 / 5000))


@pytest.mark.parametrize(
    "changes", [{}, {"training.epochs": 2.0}, {"data.train_fraction": 0.5}, {"training.batch_size": 16}]
)
def test_the_speed_of_a_variant_gives_the_seconds_of_its_trials(changes: dict[str, float]) -> None:
    variant, cost = patch(DEMO, changes), Cost(1, 2 * MACS, 1)
    speed = PACE.speed(variant, DEMO, cost)
    images, epochs = DEMO.length.images, DEMO.training.epochs
    assert speed.trial_s(images, epochs) == pytest.approx(PACE.trial_s(variant, cost), rel=0.01)
    longer = patch(variant, {"training.epochs": 2 * variant.training.epochs})
    assert speed.trial_s(images, 2 * epochs) == pytest.approx(PACE.trial_s(longer, cost), rel=0.01)


def test_a_plan_takes_what_its_workers_need_for_what_is_left() -> None:
    plan = make_plan([find_study("activation").only(["elu"])], DEMO, [0, 1], protocol=DEMO)
    pace = replace(PACE, macs=plan[0].cost.macs)
    done, half, *_ = plan
    found = {done.trial: Found("finished"), half.trial: Found("running", epochs=2)}
    plan = make_plan([find_study("activation").only(["elu"])], DEMO, [0, 1], protocol=DEMO, found=found)
    assert [pace.left_s(planned) for planned in plan] == pytest.approx([0.0, TRIAL_S / 2, TRIAL_S, TRIAL_S])
    assert f"{1.5 * TRIAL_S:.0f} s here" in pace.sentence(plan)
    assert f"{2.5 * TRIAL_S:.0f} s here" in replace(pace, workers=1).sentence(plan)


def test_a_pace_is_remembered_for_its_network_its_images_and_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recalled(DEMO) is None
    keep(DEMO, 1, PACE)
    assert recalled(DEMO) == PACE
    same = {"training.epochs": 20.0, "data.train_fraction": 0.1, "solver.lr": 0.1, "network.dropout": 0.0}
    assert recalled(patch(DEMO, same)) == PACE
    for path, value in [
        ("network.width", 0.25),
        ("data.side", 24),
        ("data.digest", "other"),
        ("training.batch_size", 64),
        ("training.precision", "bfloat16"),
        ("solver.name", "adam"),
    ]:
        assert recalled(patch(DEMO, {path: value})) is None, path
    assert recalled(DEMO, threads=2) is None
    monkeypatch.setattr(pace_module, "usable_cores", lambda: 64)
    assert recalled(DEMO) is None


@pytest.mark.parametrize("content", ["", "[1]", json.dumps({"train_images_per_s": 3.0})])
def test_a_damaged_measurement_is_none(content: str) -> None:
    keep(DEMO, 1, PACE)
    (file,) = (cache_folder() / "pace").iterdir()
    file.write_text(content)
    assert recalled(DEMO) is None


def test_a_network_that_cannot_be_built_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(recipe: Recipe) -> Cost:
        raise RaysweepError(f"{recipe.network.name} cannot be built")

    monkeypatch.setattr(pace_module, "find_cost", refuse)
    assert PACE.trial_s(DEMO) == PACE.start_s
