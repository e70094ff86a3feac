from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raysweep import cost
from raysweep.cost import Cost, compute_cost, cost_key, find_cost, goldens
from raysweep.disk.cache import cache_folder
from raysweep.patch import patch
from raysweep.planning import shipped_recipes
from raysweep.recipe import Recipe


def test_the_baseline_costs_what_the_paper_says() -> None:
    found = compute_cost(Recipe())
    assert found.params == 13_300_072
    assert found.macs == 208_986_240


def test_activations_are_the_outputs_of_the_layers() -> None:
    maps = 96 * 30**2 + 256 * 15**2 + 384 * 7**2 + 384 * 7**2 + 256 * 7**2
    assert compute_cost(Recipe()).activations == maps + 2048 + 2048 + 1000


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_committed_costs_are_what_the_networks_cost(every: int) -> None:
    recipes = {cost_key(recipe): recipe for recipe in shipped_recipes()}
    assert goldens().keys() == recipes.keys(), "run `make costs`"
    for key in sorted(recipes)[::every]:
        assert goldens()[key] == compute_cost(recipes[key]), "run `make costs`"


def test_cost_depends_on_the_network_and_the_side_alone() -> None:
    same = {"solver.lr": 1.0, "seed": 3, "network.dropout": 0.1, "training.batch_size": 1, "data.digest": "x"}
    assert cost_key(patch(Recipe(), same)) == cost_key(Recipe())
    for change in ({"network.outputs": 5}, {"data.side": 64}, {"network.width": 0.5}):
        assert cost_key(patch(Recipe(), change)) != cost_key(Recipe())


def test_another_network_is_computed_once_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = patch(Recipe(), {"network.width": 0.3})
    found = find_cost(recipe)
    assert found == compute_cost(recipe)
    cost._found.clear()  # as in a new process
    monkeypatch.setattr(cost, "compute_cost", lambda _: pytest.fail("computed twice"))
    assert find_cost(recipe) == found


@pytest.mark.parametrize("content", ['{"broken', "{}", '{"params": 1, "flops": 2}', "[1]"])
def test_a_damaged_cache_is_computed_again(content: str) -> None:
    recipe = patch(Recipe(), {"network.width": 0.3})
    found = find_cost(recipe)
    (file,) = cached_files()
    file.write_text(content)
    cost._found.clear()
    assert find_cost(recipe) == found
    assert json.loads(file.read_text())["params"] == found.params


def test_processes_keep_the_costs_that_others_have_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cost is a file of its own; none is written twice."""
    monkeypatch.setattr(cost, "compute_cost", lambda recipe: Cost(1, 2, 3))
    first, second = (patch(Recipe(), {"network.width": width}) for width in (0.3, 0.31))
    find_cost(first)
    before = {file: file.stat().st_mtime_ns for file in cached_files()}
    cost._found.clear()
    find_cost(second)
    assert len(cached_files()) == 2
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize(
    "changed",
    ["cost.py", "recipe.py", "genotypes/cells.py", "networks/he_sun.csv", "networks/resnet.py", "nn/cells.py"],
)
def test_a_change_of_the_code_makes_cached_costs_invalid(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = shutil.copytree(cost.PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cost, "PACKAGE", package)
    before = cost._code.__wrapped__()
    with (package / changed).open("a") as file:
        file.write("\n")
    assert cost._code.__wrapped__() != before


def cached_files() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr("raysweep.disk.cache._temporary", lambda: Path("/proc/nowhere"))
    recipe = patch(Recipe(), {"network.width": 0.3})
    found = find_cost(recipe)
    monkeypatch.setattr(cost, "compute_cost", lambda _: pytest.fail("computed twice in one process"))
    assert find_cost(recipe) == found


def test_gpu_hours_are_the_arithmetic_they_claim() -> None:
    hours = cost.gpu_hours(Recipe(), cost.Cost(1, 208_986_240, 1))
    assert hours == pytest.approx(2 * 3 * 208_986_240 * 320_000 * 256 / (0.25 * 156e12) / 3600)
    half = cost.gpu_hours(patch(Recipe(), {"training.precision": "bfloat16"}), cost.Cost(1, 208_986_240, 1))
    assert half == pytest.approx(hours / 2)
    assert "25%" in cost.assumption(Recipe())
    assert "156" in cost.assumption(Recipe())
