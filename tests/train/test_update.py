from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.loop import Trial, epochs, prepare
from raysweep.train.task import Placement


def start(recipe: Recipe, folder: Path, room: int) -> Trial:
    """A trial on a device with memory for N images at a time."""
    trial = prepare(recipe, folder, read_manifest(folder), Placement())

    def hold(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > room:
            raise torch.OutOfMemoryError(f"{len(inputs[0])} images")

    trial.network.register_forward_pre_hook(hold)
    return trial


def test_where_memory_is_short_batches_are_divided_and_rows_say_so(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"network.dropout": 0.0, "training.epochs": 1.0})
    (whole,) = epochs(start(recipe, small_images, 32))
    (divided,) = epochs(start(recipe, small_images, 8))
    assert (whole["sub_batches"], divided["sub_batches"]) == (1, 4)
    assert divided["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-3)
    assert divided["logloss"] == pytest.approx(whole["logloss"], rel=1e-2)


def test_the_recipes_own_sub_batches_are_kept_where_they_fit(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"training.accumulate": 4, "training.epochs": 1.0})
    (row,) = epochs(start(recipe, small_images, 8))
    assert row["sub_batches"] == 4


@pytest.mark.parametrize(
    ("changes", "room", "words"),
    [
        ({}, 0, " 1 images at a time.*single image"),
        ({"network.norm": "batch"}, 8, "normalisation.*--set training.accumulate=2"),
        ({"network.input_net": "batch_norm"}, 8, "normalisation"),
    ],
)
def test_a_batch_that_may_not_be_divided_is_an_error_with_the_next_step(
    changes: dict[str, object], room: int, words: str, small_recipe: Recipe, small_images: Path
) -> None:
    trial = start(patch(small_recipe, changes), small_images, room)
    with pytest.raises(RaysweepError, match=words):
        list(epochs(trial))
