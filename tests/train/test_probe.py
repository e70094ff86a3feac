from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from raysweep.cost import native_recipe
from raysweep.identity import recipe_json
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train import probe
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
    with pytest.raises(RuntimeError, match="outputs.*0"):
        carried(question(32, **{"network.outputs": 0}))


class Device:
    """A device of 16 GiB on which each process takes 1.5 GiB and trains `speeds[number of processes]` in all."""

    def __init__(self, speeds: dict[int, float]) -> None:
        self.speeds = speeds
        self.started = 0
        self.busy: list[object] = []
        self.together: list[int] = []

    @contextmanager
    def process(self, module: str, question: object) -> Iterator[object]:
        self.started += 1
        yield object()

    def send(self, process: object, message: object) -> None:
        self.message = message
        if message is not None:
            self.busy.append(process)

    def answer(self, process: object) -> Any:
        if self.message is None:
            return {"own": 1.0, "free": 16.0 - 1.5 * self.started, "total": 16.0}
        if len(self.busy) == self.started:
            self.together.append(self.started)
            self.busy.clear()
        return self.speeds[self.started] / self.started


@pytest.mark.parametrize(
    ("speeds", "trials", "measured"),
    [
        ({1: 100.0, 2: 190.0, 4: 195.0}, 2, [1, 2, 4]),
        ({1: 100.0, 2: 105.0}, 1, [1, 2]),
        # Eight processes would fill more than half of the memory.
        ({1: 100.0, 2: 190.0, 4: 300.0}, 4, [1, 2, 4]),
    ],
)
def test_processes_are_measured_together_while_more_of_them_pay_and_fit(
    monkeypatch: pytest.MonkeyPatch, speeds: dict[int, float], trials: int, measured: list[int]
) -> None:
    device = Device(speeds)
    for name in ("process", "send", "answer"):
        monkeypatch.setattr(probe, name, getattr(device, name))
    found = carried(Question("", "cuda", 1))
    assert found.trials == trials
    assert found.images_per_s == pytest.approx(speeds)
    assert found.memory_gib == pytest.approx(1.5), "with what the driver takes, which the process itself cannot see"
    assert device.together == measured, "each number of processes is asked at once before any answers"


@pytest.mark.long
def test_real_processes_are_measured() -> None:
    found = carried(question(16), most=2)
    assert found.images_per_s.keys() == {1, 2}
    assert found.trials == fewest_that_pay(found.images_per_s)
    assert min(found.images_per_s.values()) > 0
    assert 0.1 < found.memory_gib < 3


@pytest.mark.long
def test_a_larger_batch_takes_more_memory() -> None:
    small, large = (carried(question(batch), most=1).memory_gib for batch in (16, 256))
    assert large > small + 0.1
