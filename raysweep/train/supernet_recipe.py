"""How weights that all cells of a space share are trained and scored, with presets. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from raysweep.errors import RaysweepError, unknown
from raysweep.identity import recipe_json
from raysweep.patch import Patch, patch
from raysweep.recipe import Recipe

BN = {"batch": "batch_affine_current", "running": "batch_affine", "recalibrated": "batch_affine"}
"""Statistics that batch normalisation scores an architecture with, and the normalisation of `network.norm` that has it.

Those of the scored batch itself, as in the released code; running averages over the training, in which every update was
of another architecture; or averages over some training batches of this architecture, taken before it is scored.
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
"""Values of the released script (melodyguan/enas, `cifar10_micro_search.sh`), as its code acts on them.

Its l2 of 1e-4 is a factor on the sum of squares, so a decay of 2e-4. It computes clipped gradients and applies those
that are not clipped. Drop-path of 0.6 is passed, and used in the final network alone. The rate changes with each epoch
there, with each update here. Weights that a batch does not use stay as they are here; there they decay.
"""
SMALL: dict[str, Any] = {
    "network.dropout": 0.0,
    "network.aux_weight": 0.0,
    "solver.clip_norm": 5.0,
    "schedule.cycles": 3,
    "training.epochs": 7.0,
    "training.batch_size": 64,
}
"""What differs in a run for a CPU, besides 5 cells of width 8 for 8 of width 20."""


@dataclass(frozen=True)
class SharedRecipe:
    """How shared weights are trained and scored."""

    training: Recipe
    """The recipe of a trial: images, layers, solver, schedule, length and seed. Name and cells of its network and its
    norm are not used."""
    cells: int = 8
    """With the two reductions."""
    width: int = 20
    """Of the first cells, times `network.width`."""
    bn: str = "batch"
    """One of `BN`."""
    recalibration: int = 10
    """Training batches that statistics are recalibrated on."""

    @property
    def recipe(self) -> Recipe:
        """The recipe with the norm that `bn` means.

        Raises:
            RaysweepError: no such way to normalise, or a recipe that weights cannot be shared with.
        """
        if self.bn not in BN:
            raise unknown("bn", self.bn, BN)
        made = patch(self.training, {"network.norm": BN[self.bn]})
        for path, bad, words in (
            ("data.holdout", not made.data.holdout, "architectures would be chosen by test images. Name a share, 0.1"),
            ("init.method", made.init.method.startswith("lsuv"), "one architecture would decide it. Use he"),
            ("training.accumulate", made.training.accumulate != 1, "batch normalisation needs whole batches. Use 1"),
        ):
            if bad:
                raise RaysweepError(f"{path} does not serve for shared weights: {words}.")
        return made

    @property
    def weights(self) -> str:
        """What decides the weights, but for the space; how they are scored does not."""
        return f"{recipe_json(self.recipe)}; {self.cells} cells of width {self.width}"

    def patched(self, settings: Patch) -> SharedRecipe:
        """With other values in the recipe of a trial."""
        return replace(self, training=patch(self.training, settings))


def enas_code(recipe: Recipe, **options: Any) -> SharedRecipe:
    """The released script on the images of a recipe; `options` are other fields of `SharedRecipe`."""
    return SharedRecipe(patch(recipe, ENAS_CODE), **options)


def small(recipe: Recipe, **options: Any) -> SharedRecipe:
    """A tenth of that and less, for a CPU."""
    return SharedRecipe(patch(recipe, ENAS_CODE | SMALL), **({"cells": 5, "width": 8} | options))


PRESETS: dict[str, Callable[..., SharedRecipe]] = {"enas_code": enas_code, "small": small}
