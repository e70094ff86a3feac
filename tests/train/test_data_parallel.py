from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from raysweep.data.manifest import read_manifest
from raysweep.identity import recipe_json
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.loop import epochs, prepare
from raysweep.train.task import Placement

RANK = """
import sys, torch
from pathlib import Path
from raysweep.data.manifest import read_manifest
from raysweep.identity import recipe_from_json
from raysweep.train.confusion import confusion
from raysweep.train.loop import epochs, prepare, restore, state
from raysweep.train.task import Placement
recipe, folder, out, rank = sys.argv[1:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{out}meet", rank=int(rank), world_size=2)


def start():
    return prepare(recipe_from_json(recipe), Path(folder), read_manifest(folder), Placement(int(rank), 2))


trial, rows, saved = start(), [], [None]
for row in epochs(trial):
    rows.append(row)
    if row["epoch"] == 1:
        random = torch.get_rng_state()
        if rank == "0":
            saved = [state(trial, 1)]
torch.distributed.broadcast_object_list(saved, src=0)  # both ranks load the checkpoint that rank 0 writes
resumed = start()
list(epochs(resumed, restore(resumed, saved[0])))
found = {"weights": trial.network.state_dict(), "resumed": resumed.network.state_dict()}
found |= {"confusion": confusion(trial)}
torch.save({"rows": rows, "random": random, **found}, f"{out}{rank}")
torch.distributed.destroy_process_group()
"""


def on_two_ranks(recipe: Recipe, images: Path, folder: Path) -> list[Any]:
    """Each rank's rows, generator after the first epoch, and weights: of a whole training, and of one resumed there."""
    folder.mkdir()
    command = [sys.executable, "-c", RANK, recipe_json(recipe), str(images), f"{folder}/"]
    ranks = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    return [torch.load(folder / str(rank), weights_only=True) for rank in range(2)]


def test_dropout_differs_between_ranks_and_a_resumed_trial_ends_with_the_same_bits(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    recipe = patch(small_recipe, {"network.dropout": 0.5, "training.epochs": 2.0})
    ranks = on_two_ranks(recipe, small_images, tmp_path / "two")
    for rank in ranks:
        for name, weight in rank["weights"].items():
            assert torch.equal(rank["resumed"][name], weight), name
    assert not torch.equal(ranks[0]["random"], ranks[1]["random"])


def test_two_ranks_train_the_same_network_as_one(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    """The batch is divided among them, so gradients, losses and accuracy are equal but for rounding."""
    changes = {"network.dropout": 0.0, "training.accumulate": 2, "training.epochs": 1.0}
    recipe = patch(small_recipe, changes)
    alone = prepare(recipe, small_images, read_manifest(small_images), Placement())
    (expected,) = epochs(alone)
    found = on_two_ranks(recipe, small_images, tmp_path / "two")
    for name, weight in alone.network.state_dict().items():
        assert torch.equal(found[0]["weights"][name], found[1]["weights"][name])
        torch.testing.assert_close(found[0]["weights"][name], weight, atol=1e-4, rtol=1e-3)
    for result in found:
        right = sum(row["images"] for row in result["confusion"] if row["label"] == row["predicted"])
        assert right / alone.test.num_images == result["rows"][0]["top1"]  # the images of both ranks
        (row,) = result["rows"]
        assert abs(row["train_loss"] - expected["train_loss"]) < 1e-3
        assert abs(row["logloss"] - expected["logloss"]) < 1e-2
        assert row["images_seen"] == expected["images_seen"]
