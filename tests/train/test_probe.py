from __future__ import annotations

import pytest

from raysweep.cost import native_recipe
from raysweep.identity import recipe_json
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.probe import carried, fewest_that_pay
from raysweep.train.work import Question


def question(batch: int, **changes: object) -> Question:
    recipe: Recipe = patch(native_recipe("caffenet"), {"network.width": 0.125, "training.batch_size": batch} | changes)
    return Question(recipe_json(recipe), "cpu", 1)


@pytest.mark.parametrize(
    ("speeds", "trials"),
    [({1: 100.0}, 1), ({1: 100.0, 2: 195.0, 4: 200.0}, 2), ({1: 100.0, 2: 90.0}, 1), ({1: 100.0, 2: 180.0}, 2)],
)
def test_more_trials_at_once_must_pay(speeds: dict[int, float], trials: int) -> None:
    assert fewest_that_pay(speeds) == trials


def test_what_cannot_be_trained_says_why() -> None:
    with pytest.raises(RuntimeError, match="outputs is 0"):
        carried(question(32, **{"network.outputs": 0}))


@pytest.mark.long
def test_processes_are_measured_together() -> None:
    found = carried(question(16), most=2)
    assert found.trials in (1, 2)
    assert found.images_per_s.keys() == {1, 2}
    assert min(found.images_per_s.values()) > 0
    assert 0.1 < found.memory_gib < 3


@pytest.mark.long
def test_a_larger_batch_takes_more_memory() -> None:
    small, large = (carried(question(batch), most=1).memory_gib for batch in (16, 256))
    assert large > small + 0.1
