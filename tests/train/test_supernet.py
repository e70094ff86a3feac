"""Shared weights on generated images: what is held out, what a kill changes, how architectures are scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.data.fit import bind_data
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import Genotype
from raysweep.nas import search
from raysweep.nas.cells_space import CellSpace
from raysweep.nas.methods.supernet_methods import ALL, Enas
from raysweep.nas.space import randomness
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.train.supernet import SupernetTraining
from raysweep.train.supernet_recipe import ENAS_CODE, SupernetRecipe, enas_code, small

SPACE = CellSpace("one node", ("sep_conv_3x3", "avg_pool_3x3", "identity"), nodes=1)
TINY = {"data.side": 8, "training.epochs": 3.0, "training.batch_size": 30, "schedule.cycles": 2}


def tiny(images: Path, bn: str = "batch", **changes: Any) -> SupernetRecipe:
    """Three cells of 4 channels on 270 images of 8 px, 30 held out."""
    made = small(bind_data(find_protocol("demo"), read_manifest(images)), bn=bn, cells=3, width=4, recalibration=2)
    return SupernetRecipe(**{**vars(made), "training": patch(made.training, TINY | changes)})


def begin(images: Path, store: Path, bn: str = "batch", **changes: Any) -> SupernetTraining:
    return SupernetTraining(SPACE, tiny(images, bn, **changes), images, store)


def sample(update: int) -> Genotype:
    return SPACE.sample(randomness(9, update))


def weights(shared: SupernetTraining) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in shared.network.state_dict().items() if torch.is_tensor(weight)}


def test_scoring_images_are_used_neither_for_training_nor_testing(small_images: Path, tmp_path: Path) -> None:
    shared = begin(small_images, tmp_path)
    trained, scored = shared.trial.train.indices, shared.trial.test.indices
    assert (len(trained), len(scored)) == (270, 30)
    assert not set(trained.tolist()) & set(scored.tolist())
    assert shared.trial.test.file.beton.path == shared.trial.train.file.beton.path
    assert not np.array_equal(np.sort(scored), scored)
    read = [shared.trial.test.batch(number).indices for number in range(len(shared.trial.test))]
    assert sorted(np.concatenate(read).tolist()) == sorted(scored.tolist())


def test_a_resumed_training_is_bit_identical(small_images: Path, tmp_path: Path) -> None:
    whole = begin(small_images, tmp_path / "whole")
    for _ in range(3):
        whole.train(sample)
        whole(sample(0), 1.0)
    part = begin(small_images, tmp_path / "part")
    part.train(sample)
    for _ in range(2):
        part = begin(small_images, tmp_path / "part")
        part.train(sample)
    assert part.losses == whole.losses
    assert len(part.seconds) == part.num_epochs == 3
    for (name, mine), other in zip(weights(part).items(), weights(whole).values(), strict=True):
        assert torch.equal(mine, other), name
    assert part(sample(5)).value == whole(sample(5)).value
    with pytest.raises(RaysweepError, match="shared.pt"):
        begin(small_images, tmp_path / "part", **{"solver.lr": 0.01})


def test_a_checkpoint_is_plain_data(small_images: Path, tmp_path: Path) -> None:
    shared = begin(small_images, tmp_path)
    shared.train(sample)
    saved = torch.load(tmp_path / "shared.pt", weights_only=True)
    assert saved["position"]["losses"] == shared.losses


def test_every_update_is_of_the_architecture_with_its_number(small_images: Path, tmp_path: Path) -> None:
    shared, asked = begin(small_images, tmp_path), []

    def note(update: int) -> Genotype:
        asked.append(update)
        return sample(update)

    shared.train(note)
    shared.train(note)
    assert asked == list(range(18))


@pytest.mark.parametrize("bn", ["batch", "running", "recalibrated"])
def test_scoring_uses_the_declared_statistics(small_images: Path, tmp_path: Path, bn: str) -> None:
    """By the running averages of the training, whatever was scored in between; or by none of them."""
    shared = begin(small_images, tmp_path, bn)
    shared.train(sample)
    before = weights(shared)
    score = shared(sample(3)).value
    assert shared(sample(3)).value == score
    after = weights(shared)
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert bool(changed) is (bn == "recalibrated")
    assert all("running" in name for name in changed)
    spoil(shared)
    assert (shared(sample(3)).value == score) is (bn != "running")


def spoil(shared: SupernetTraining) -> None:
    """Running averages that nothing was trained with."""
    for name, weight in shared.network.state_dict().items():
        if "running" in name and torch.is_tensor(weight):
            weight.copy_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(4)) + 0.1)


def test_minibatches_are_drawn_for_each_architecture(small_images: Path, tmp_path: Path) -> None:
    shared = begin(small_images, tmp_path, **{"training.batch_size": 4})
    drawn = [tuple(shared._minibatches(sample(number), 2.0)) for number in range(12)]
    assert all(len(set(numbers)) == 2 for numbers in drawn)
    assert len(set(drawn)) > 3
    assert list(shared._minibatches(sample(0), None)) == list(shared._minibatches(sample(0), ALL)) == list(range(8))


def test_divergence_is_a_result(small_images: Path, tmp_path: Path) -> None:
    wild = {"solver.lr": 1e30, "solver.clip_norm": 0.0}
    method = Enas(epochs=3, rewards=2, sampled=2, rescored=1, controller="tabular")
    shared = begin(small_images, tmp_path, **wild)
    history = search(SPACE, shared, method=method, budget=method.evaluations, seed=0, log=tmp_path / "log")
    assert [one.status for one in history.evaluations] == ["diverged"]
    assert not math.isfinite(shared.losses[-1])
    assert begin(small_images, tmp_path, **wild).diverged


def test_a_search_trains_and_scores_in_turn_and_resumes(small_images: Path, tmp_path: Path) -> None:
    method = Enas(epochs=3, rewards=4, sampled=6, rescored=3, controller="tabular", lr=0.1)

    def run(folder: Path, budget: int) -> Any:
        shared = begin(small_images, folder)
        return search(SPACE, shared, method=method, budget=budget, seed=1, log=folder / "log").evaluations

    whole = run(tmp_path / "whole", method.evaluations)
    run(tmp_path / "part", 7)
    resumed = run(tmp_path / "part", method.evaluations)
    assert [(one.key, one.value, one.fidelity) for one in resumed] == [
        (one.key, one.value, one.fidelity) for one in whole
    ]
    assert whole[-1].fidelity == ALL
    assert all(one.cost_s > 0 for one in whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.holdout": 0.0}, "data.holdout"),
        ({"init.method": "lsuv"}, "init.method"),
        ({"training.accumulate": 2}, "training.accumulate"),
        ({"training.batch_size": 280}, "280.* 270 images"),
    ],
)
def test_unusable_recipes_are_errors(small_images: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RaysweepError, match=message):
        begin(small_images, tmp_path, **changes)


def test_the_preset_of_the_released_code_has_its_values() -> None:
    """Script and code of melodyguan/enas: 150 epochs are the whole cycles 10 + 20 + 40 + 80."""
    made = enas_code(find_protocol("cifar10"))
    assert (made.cells, made.width, made.bn) == (8, 20, "batch")
    recipe = made.recipe
    assert 10 * (2**recipe.schedule.cycles - 1) == recipe.training.epochs == ENAS_CODE["training.epochs"]
    assert recipe.solver.lr * recipe.schedule.floor == pytest.approx(0.0005)
    assert recipe.network.norm == "batch_affine_current"
    with pytest.raises(RaysweepError, match="bach"):
        _ = enas_code(find_protocol("cifar10"), bn="bach").recipe
