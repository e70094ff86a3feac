"""Cells trained by themselves, and compared with weights that they share."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.data.fit import bind_data
from raysweep.data.manifest import read_manifest
from raysweep.identity import recipe_from_json
from raysweep.nas.cells_space import cell_space
from raysweep.nas.ranking import compare
from raysweep.nas.space import randomness
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.store.store import Store
from raysweep.train.supernet import SupernetTraining
from raysweep.train.supernet_recipe import small
from tests.nas_trials.standalone import StandAlone

pytestmark = pytest.mark.usefixtures("one_thread")
SPACE = cell_space("enas")
SHORT = {
    "data.side": 16,
    "data.holdout": 0.1,
    "network.name": "enas_cells",
    "network.cell_repeats": 1,
    "network.width": 4 / 36,
    "training.epochs": 1.0,
    "training.batch_size": 30,
}


def short(images: Path) -> Recipe:
    return patch(bind_data(find_protocol("demo"), read_manifest(images)), SHORT)


def test_a_cell_is_a_trial_of_its_own_that_is_trained_once(small_images: Path, tmp_path: Path) -> None:
    cell, store = SPACE.sample(randomness(0, 0)), str(tmp_path / "store")
    found = StandAlone(short(small_images), str(small_images), store)(cell)
    assert (found.status, found.epochs) == ("finished", 1.0)
    assert StandAlone(short(small_images), str(small_images), store)(cell) == found
    rows = Store.open(store).trials().to_pylist()
    assert [(row["attempts"], row["top1"]) for row in rows] == [(1, found.value)]
    recipe = recipe_from_json(rows[0]["recipe"])
    assert recipe.network.genotype == str(cell)
    assert recipe.data.holdout == 0.1
    assert found.macs == 3 * rows[0]["macs"] * recipe.length.iterations * 30, "a budget of MACs comes to an end"


def test_a_training_that_diverges_is_a_result(small_images: Path, tmp_path: Path) -> None:
    wild = patch(short(small_images), {"solver.lr": 1e30})
    found = StandAlone(wild, str(small_images), str(tmp_path))(SPACE.sample(randomness(0, 0)))
    assert found.status == "diverged"


@pytest.mark.long
def test_both_ways_to_score_are_compared(small_images: Path, tmp_path: Path) -> None:
    recipe = small(short(small_images), cells=3, width=4)
    recipe = type(recipe)(**{**vars(recipe), "training": patch(recipe.training, {"training.epochs": 1.0})})
    shared = SupernetTraining(SPACE, recipe, small_images, tmp_path / "shared")
    shared.train(lambda update: SPACE.sample(randomness(1, update)))
    alone = StandAlone(short(small_images), str(small_images), str(tmp_path / "alone"))
    ranking = compare(SPACE, shared, alone, seed=0, pairs=3)
    table = ranking.to_table(**shared.columns)
    assert len(table) == ranking.num_pairs == 3
    assert -1 <= ranking.kendall_tau <= 1
    assert table["bn"].to_pylist() == ["batch"] * 3
    assert table["shared_epochs"].to_pylist() == [1] * 3
    assert len(Store.open(str(tmp_path / "alone")).trials()) == 3
