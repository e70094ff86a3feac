from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from raysweep.orchestrate import measuring
from raysweep.orchestrate.measuring import estimated_gib, heaviest, may_be_short, measured_shape
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.worker import GangShape

NODE = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0, "memory": 100 * 2**30}
LAPTOP = {"CPU": 2.0, "memory": 8 * 2**30}
FOUND = {"trials": 4, "memory_gib": 6.0, "images_per_s": {"1": 100.0, "2": 190.0, "4": 300.0, "8": 310.0}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Measurements that were made, each with the same result."""
    made: list[tuple[Any, ...]] = []

    def measure(*what: Any) -> dict[str, Any]:
        made.append(what)
        return FOUND

    monkeypatch.setattr(measuring, "_measure", measure)
    return made


def test_a_gpu_is_shared_by_as_many_as_were_measured_and_measured_once(asked: list[tuple[Any, ...]]) -> None:
    said: list[str] = []
    shape = GangShape(gpus=1.0)
    assert measured_shape(shape, Recipe(), [NODE], said.append).gpus == 0.25
    assert measured_shape(shape, patch(Recipe(), {"solver.lr": 0.5}), [NODE], said.append).gpus == 0.25
    assert len(asked) == 1
    assert len(said) == 3
    assert said[1] == said[2]
    assert re.search("4 trial.*6.0 GiB.*100 with 1, 190 with 2", said[1])
    for other in ({"training.batch_size": 64}, {"network.width": 0.5}, {"training.precision": "bfloat16"}):
        measured_shape(shape, patch(Recipe(), other), [NODE], said.append)
    measured_shape(shape, Recipe(), [NODE | {"accelerator_type:L4": 1.0}], said.append)
    assert len(asked) == 5


def test_a_failed_measurement_is_reported_changes_nothing_and_is_made_again_next_time(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody else used the GPU for a minute."""
    said: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "_measure", lambda *what: {"error": "out of memory"})
        assert measured_shape(GangShape(gpus=1.0), Recipe(), [NODE], said.append) == GangShape(gpus=1.0)
    assert "out of memory" in said[-1]
    assert measured_shape(GangShape(gpus=1.0), Recipe(), [NODE], said.append).gpus == 0.25
    assert len(asked) == 1


def test_a_measuring_worker_that_is_killed_is_a_failed_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*what: Any) -> None:
        raise OutOfMemoryError("killed for memory")

    task = SimpleNamespace(remote=lambda *what: None)
    monkeypatch.setattr(measuring.ray, "remote", lambda **resources: lambda function: task)
    monkeypatch.setattr(measuring.ray, "get", die)
    said: list[str] = []
    assert measured_shape(GangShape(gpus=1.0), Recipe(), [NODE], said.append) == GangShape(gpus=1.0)
    assert "killed for memory" in said[-1]


def test_memory_of_cpu_nodes_is_measured_only_where_it_may_be_short(asked: list[tuple[Any, ...]]) -> None:
    small = patch(Recipe(), {"network.width": 0.125, "training.batch_size": 16})
    assert measured_shape(GangShape(), small, [LAPTOP], print) == GangShape()
    assert not asked
    large = patch(Recipe(), {"network.name": "resnet50", "network.norm": "batch"})
    assert measured_shape(GangShape(), large, [LAPTOP], print) == GangShape(memory_gib=6.0)
    assert len(asked) == 1


def test_the_estimate_grows_with_what_is_trained_at_a_time() -> None:
    whole, halved = (estimated_gib(patch(Recipe(), {"training.accumulate": parts})) for parts in (1, 2))
    assert 0.5 * whole < halved < whole
    assert not may_be_short(1.0, [{"CPU": 64.0}], GangShape())  # memory that is not reported


def test_the_heaviest_recipe_holds_most_in_memory() -> None:
    light = patch(Recipe(), {"training.batch_size": 32})
    broken = patch(Recipe(), {"data.side": 8})
    assert heaviest([broken, light, Recipe(), broken]) == Recipe()
