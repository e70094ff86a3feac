from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
from raysweep.train.loop import epochs, prepare
from raysweep.train.task import Placement
recipe, folder, meet, out, rank = sys.argv[1:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=int(rank), world_size=2)
trial = prepare(recipe_from_json(recipe), Path(folder), read_manifest(folder), Placement(int(rank), 2))
rows = list(epochs(trial))
torch.save({"rows": rows, "weights": trial.network.state_dict()}, f"{out}{rank}")
torch.distributed.destroy_process_group()
"""


def test_two_ranks_train_the_same_network_as_one(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    """The batch is shared out, so gradients, losses and accuracy are those of one process but for rounding."""
    changes = {"network.dropout": 0.0, "training.accumulate": 2, "training.epochs": 1.0}
    recipe = patch(small_recipe, changes)
    alone = prepare(recipe, small_images, read_manifest(small_images), Placement())
    (expected,) = epochs(alone)
    command = [sys.executable, "-c", RANK, recipe_json(recipe), str(small_images)]
    ranks = [
        subprocess.Popen([*command, str(tmp_path / "meet"), str(tmp_path / "out"), str(rank)]) for rank in range(2)
    ]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"out{rank}", weights_only=True) for rank in range(2)]
    for name, weight in alone.network.state_dict().items():
        assert torch.equal(found[0]["weights"][name], found[1]["weights"][name])
        torch.testing.assert_close(found[0]["weights"][name], weight, atol=1e-4, rtol=1e-3)
    for result in found:
        (row,) = result["rows"]
        assert abs(row["train_loss"] - expected["train_loss"]) < 1e-3
        assert abs(row["logloss"] - expected["logloss"]) < 1e-2
        assert row["images_seen"] == expected["images_seen"]
