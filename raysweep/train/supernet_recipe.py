"""The recipe for training and scoring a supernet, with presets. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from raysweep.errors import RaysweepError, unknown
from raysweep.identity import recipe_json
from raysweep.patch import Patch, patch
from raysweep.recipe import Recipe

BN = {"batch": "batch_affine_current", "running": "batch_affine", "recalibrated": "batch_affine"}
"""Statistics that batch normalisation uses for scoring -> the `network.norm` that provides them.

Those of the scored batch, as in the released code; running averages over the training, in which each update used a
different architecture; or averages over some training batches with this architecture, recomputed before it is scored.
"""
ENAS_CODE: dict[str, Any] = {
    "data.holdout": 0.1,
    "network.activation": "relu",
    "network.norm_position": "before",
    "network.bias": False,
    "network.conv_bias": False,
    "network.head": "avepool_clf",
    "network.dropout": 0.1,
    "network.aux_weight": 0.4,
    "init.method": "he",
    "solver.name": "nesterov",
    "solver.lr": 0.05,
    "solver.momentum": 0.9,
    "solver.weight_decay": 2e-4,
    "solver.bias_lr_mult": 1.0,
    "solver.bias_decay_mult": 1.0,
    "solver.lr_in_velocity": False,
    "solver.clip_norm": 0.0,
    "schedule.name": "warm_restarts",
    "schedule.cycles": 4,
    "schedule.floor": 0.01,
    "training.epochs": 150.0,
    "training.batch_size": 160,
}
"""Values of the released script (melodyguan/enas, `cifar10_micro_search.sh`), as its code uses them.

Its l2 of 1e-4 multiplies the sum of squares, which is a decay of 2e-4. It computes clipped gradients but applies the
unclipped ones. It passes a drop-path of 0.6, which only the final network uses. Its learning rate changes with each
epoch, here with each update. Weights that a batch does not use decay there; here they stay unchanged.
"""
SMALL: dict[str, Any] = {
    "network.dropout": 0.0,
    "network.aux_weight": 0.0,
    "solver.clip_norm": 5.0,
    "schedule.cycles": 3,
    "training.epochs": 7.0,
    "training.batch_size": 64,
}
"""Changes for a run on a CPU, in addition to 5 cells of width 8 instead of 8 cells of width 20."""


@dataclass(frozen=True)
class SupernetRecipe:
    """How a supernet is trained and scored."""

    training: Recipe
    """The recipe of a trial: images, layers, solver, schedule, length and seed. The name, cells and norm of its network
    are ignored."""
    cells: int = 8
    """Number of cells, including the two reductions."""
    width: int = 20
    """Width of the first cells, multiplied by `network.width`."""
    bn: str = "batch"
    """Statistics for scoring, one of `BN`."""
    recalibration: int = 10
    """Number of training batches to recalibrate the statistics on."""

    @property
    def recipe(self) -> Recipe:
        """The recipe with the norm of `bn`.

        Raises:
            RaysweepError: an unknown `bn`, or a recipe that a supernet cannot use.
        """
        if self.bn not in BN:
            raise unknown("bn", self.bn, BN)
        made = patch(self.training, {"network.norm": BN[self.bn]})
        for path, bad, why in (
            (
                "data.holdout",
                not made.data.holdout,
                "is 0, so architectures would be selected on test images. Set a fraction, e.g. 0.1",
            ),
            ("init.method", made.init.method.startswith("lsuv"), "depends on a single architecture. Use he"),
            (
                "training.accumulate",
                made.training.accumulate != 1,
                "splits batches, but batch normalisation needs whole ones. Use 1",
            ),
        ):
            if bad:
                raise RaysweepError(f"cannot train a supernet: {path} {why}.")
        return made

    @property
    def weights(self) -> str:
        """Everything but the space that determines the weights; scoring does not."""
        return f"{recipe_json(self.recipe)}; {self.cells} cells of width {self.width}"

    def patched(self, settings: Patch) -> SupernetRecipe:
        """A copy with other values in the recipe of a trial."""
        return replace(self, training=patch(self.training, settings))


def enas_code(recipe: Recipe, **options: Any) -> SupernetRecipe:
    """The recipe of the released script for the images of a recipe; `options` are other fields of `SupernetRecipe`."""
    return SupernetRecipe(patch(recipe, ENAS_CODE), **options)


def small(recipe: Recipe, **options: Any) -> SupernetRecipe:
    """A recipe of a tenth of the size or less, for a CPU."""
    return SupernetRecipe(patch(recipe, ENAS_CODE | SMALL), **({"cells": 5, "width": 8} | options))


PRESETS: dict[str, Callable[..., SupernetRecipe]] = {"enas_code": enas_code, "small": small}
