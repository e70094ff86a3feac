"""Searches with shared weights as tasks of a sweep, without Ray: what they are, and that nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError
from raysweep.nas.budget import Budget
from raysweep.nas.methods.supernet_methods import ALL, Enas
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.supernet_task import train_supernet
from raysweep.patch import get
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.supernet_ranking import cells_of, rank, ranking_request
from raysweep.sweeps.supernet_sweep import PreparedSupernets, execute_supernets, prepare_supernets, twin
from raysweep.train.task import Placement, TrialTask
from tests.nas_trials.supernets import ask_supernets, found, prepare

pytestmark = pytest.mark.usefixtures("one_thread")
INLINE = Resources(inline=True)
BOTH = ("enas", "random_weight_sharing")


@pytest.fixture(scope="module")
def whole(small_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a search of each method, carried out without interruption."""
    store = tmp_path_factory.mktemp("whole") / "s"
    outcome = execute_supernets(prepare(small_images, store, *BOTH), INLINE)
    assert len(outcome.finished) == 2
    return store


@pytest.fixture
def done(whole: Path, small_images: Path, tmp_path: Path) -> PreparedSupernets:
    """The search of ENAS in a copy of that store."""
    return prepare(small_images, Path(shutil.copytree(whole, tmp_path / "done")))


def named(asked: NasRequest) -> dict[str, Any]:
    return {one.name: one for one in asked.named(asked.training_request().baseline())}


def test_settings_override_the_preset_but_not_the_epochs_of_the_method(small_images: Path, tmp_path: Path) -> None:
    asked = ask_supernets(small_images, tmp_path)
    (one,) = named(asked).values()
    shared = asked.supernet_recipe(asked.training_request().baseline(), one.method, 5)
    assert (shared.cells, shared.width, shared.recipe.seed) == (3, 4, 5)
    expected = {"training.epochs": 3.0, "training.batch_size": 30, "data.holdout": 0.1, "solver.lr": 0.05}
    assert {path: get(shared.recipe, path) for path in expected} == expected
    assert one.label == "enas+epochs=3+rewards=2+sampled=3+rescored=2+preset=small+cells=3+width=4"


@pytest.mark.parametrize("option", [{"width": "5"}, {"bn": "running"}, {"recalibration": "3"}, {"epochs": "4"}])
def test_supernet_options_change_the_name_of_a_search(
    small_images: Path, tmp_path: Path, option: dict[str, str]
) -> None:
    names = {*named(ask_supernets(small_images, tmp_path)), *named(ask_supernets(small_images, tmp_path, **option))}
    assert len(names) == 2


def test_a_budget_in_epochs_is_that_of_the_supernet() -> None:
    request = Request((), "cifar10", {})
    asked = NasRequest("enas", ("random", "enas"), Budget(evaluations=60, epochs=20, hours=2), request)
    by_trials, supernets = asked.only(supernet=False), asked.only(supernet=True)
    assert by_trials == replace(asked, methods=("random",))
    assert supernets == replace(asked, methods=("enas",))
    assert supernets is not None
    (method,) = supernets.named_methods(request.baseline()).values()
    assert isinstance(method, Enas)
    assert method.epochs == 20
    assert supernets.budget_of(method) == Budget(evaluations=method.evaluations, hours=2)


def test_the_released_search_costs_about_as_much_as_its_twin_alone() -> None:
    """Eight cells of 20 channels: what the searched network is built of in ENAS' final training has 36."""
    request = Request((), "cifar10", {})
    asked = NasRequest("enas", ("enas",), None, request)
    (one,) = named(asked).values()
    shared = asked.supernet_recipe(asked.training_request().baseline(), one.method, 0)
    recipe = twin(asked.trial_space(), shared)
    assert recipe.network.cell_repeats == 2
    assert recipe.network.width == pytest.approx(20 / 36)
    assert find_cost(recipe).macs > 10e6
    assert recipe.training.epochs == 150


@pytest.mark.long
def test_interrupted_searches_resume_identically(small_images: Path, tmp_path: Path, whole: Path) -> None:
    for task in prepare(small_images, tmp_path, *BOTH).tasks:
        rows = train_supernet(task, Placement(), 1)
        next(rows)
        next(rows)  # with rewards that the store's table does not have yet
        rows.close()
    cut = prepare(small_images, tmp_path, *BOTH)
    assert len(cut.left) == 2
    execute_supernets(cut, INLINE)
    assert found(tmp_path) == found(whole)
    assert {row["fidelity"] for row in found(whole)} == {1.0, 10.0, ALL}
    over = prepare(small_images, tmp_path, *BOTH)
    assert not over.left
    assert [search.history.best.fidelity for search in over.found()] == [ALL] * 2


def test_rows_are_those_of_a_trial(small_images: Path, tmp_path: Path) -> None:
    (task,) = prepare(small_images, tmp_path).tasks
    rows = list(train_supernet(task, Placement(), 1))
    assert [row["status"] for row in rows] == ["running"] * 3 + ["finished"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 3]
    assert [row["images_seen"] for row in rows] == [270, 540, 810, 810]
    assert rows[0]["top1"] is None
    values = [row["value"] for row in found(tmp_path)]
    assert rows[1]["top1"] == pytest.approx((values[0] + values[1]) / 2)
    assert rows[-1]["top1"] == max(values[-2:])


def test_a_worker_whose_node_goes_leaves_the_rest_to_another(small_images: Path, tmp_path: Path, whole: Path) -> None:
    (task,) = prepare(small_images, tmp_path).tasks
    steps = iter(range(14))
    rows = list(train_supernet(task, Placement(on_step=lambda: next(steps, None) is None), 1))
    assert [row["status"] for row in rows] == ["running"], "in the middle of the second epoch"
    list(train_supernet(task, Placement(), 2))
    assert found(tmp_path) == [row for row in found(whole) if row["search"] == task.trial]


def test_a_failed_search_records_why_and_the_others_continue(
    small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(small_images, tmp_path, seeds=2)

    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        if task.recipe.seed == 0:
            raise RaysweepError("no room on the disk")
        yield from train_supernet(task, place, attempt)

    monkeypatch.setattr("raysweep.sweeps.supernet_sweep.train_supernet", train)
    outcome = execute_supernets(prepared, INLINE)
    assert outcome.failed == (prepared.tasks[0].trial,)
    assert "no room on the disk" in (tmp_path / "searches" / f"{outcome.failed[0]}.error").read_text()
    assert {row["seed"] for row in found(tmp_path)} == {1}
    assert prepare(small_images, tmp_path, seeds=2).left == prepared.left[:1]


def test_ranking_with_deleted_weights_is_an_error(done: PreparedSupernets) -> None:
    (task,), (search,) = done.tasks, done.found()
    (Path(done.store.uri) / "searches" / f"{task.trial}.pt").unlink()
    with pytest.raises(RaysweepError, match=r"weights of nas-enas-enas-s0-"):
        rank(done, task, search, 2, cells_of(done, [search], 2))


def test_a_ranking_needs_every_cell_trained(done: PreparedSupernets) -> None:
    (task,), (search,) = done.tasks, done.found()
    cells = cells_of(done, [search], 4)
    (study,) = ranking_request(done, cells).find_studies()
    assert [variant.summary for variant in study.variants] == [str(cell) for cell in cells.values()]
    assert study.variants[0].summary == str(search.history.best.architecture)
    with pytest.raises(RaysweepError, match="trial [0-9a-f]{8}"):
        rank(done, task, search, 4, cells)


def test_a_cell_of_several_searches_is_trained_once(small_images: Path, whole: Path) -> None:
    """Both have seed 0, and so the same samples."""
    both = prepare(small_images, whole, *BOTH)
    one, other = both.found()
    cells, own = cells_of(both, [one, other], 4), cells_of(both, [other], 4)
    assert len(cells) < 8
    assert own.items() <= cells.items()
    (study,) = ranking_request(both, cells).find_studies()
    assert len({variant.name for variant in study.variants}) == len(cells)


def test_a_supernet_is_trained_by_one_worker(small_images: Path, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="--workers-per-trial.*2"):
        prepare_supernets(ask_supernets(small_images, tmp_path), Resources(workers_per_trial=2))


def test_a_search_in_use_by_another_driver_is_an_error(small_images: Path, tmp_path: Path) -> None:
    (task,) = prepare(small_images, tmp_path).tasks
    with closing(task.open(Store.open(str(tmp_path))).asking), pytest.raises(RaysweepError, match="another process"):
        next(train_supernet(task, Placement(), 1))
