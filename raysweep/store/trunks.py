"""Trained networks to start from: which finished trial of a store a recipe's trunk comes from. Loads no torch.

The trunk is all of a network but its classifier. A trial fits a recipe if its network is the same in every field but
the number of outputs, its seed is the same, and it was trained on other images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.patch import diff
from raysweep.recipe import Recipe
from raysweep.store.store import Store

MOST_NAMED = 3
"""Trials that a message names."""


@dataclass(frozen=True)
class Trained:
    """A finished trial."""

    trial: str
    recipe: Recipe
    data: str
    """Name of its images."""


def wants_trunk(recipe: Recipe) -> bool:
    """Whether the recipe starts from a trained network."""
    return recipe.init.trunk != "none"


class Trunks:
    """The trained networks of one store."""

    def __init__(self, uri: str) -> None:
        """Open the store.

        Raises:
            RaysweepError: there is none, or it cannot be read.
        """
        self.store = Store.open(uri)

    @cached_property
    def trained(self) -> list[Trained]:
        """Every finished trial that was trained from its own initial weights."""
        rows = self.store.trials(["trial", "status", "recipe", "data_name"]).to_pylist()
        ended = [row for row in rows if row["status"] == "finished"]
        found = [Trained(row["trial"], recipe_from_json(row["recipe"]), row["data_name"] or "") for row in ended]
        return [entry for entry in found if not wants_trunk(entry.recipe)]

    def bind(self, recipe: Recipe) -> Recipe:
        """The recipe with the id of its trunk's trial; as it is where it wants no trunk.

        Raises:
            RaysweepError: no trial fits, several do, its weights were not kept, or its layers have other sizes.
        """
        if not wants_trunk(recipe):
            return recipe
        found = self._one(recipe)
        bound = replace(recipe, init=replace(recipe.init, trunk_trial=found.trial))
        self._check(bound, found)
        return bound

    def _one(self, recipe: Recipe) -> Trained:
        named = recipe.init.trunk_trial
        fitting = [entry for entry in self.trained if (entry.trial == named if named else fits(entry.recipe, recipe))]
        if len(fitting) == 1:
            return fitting[0]
        what = f"trial {named}" if named else f"{recipe.network.name} with seed {recipe.seed}"
        if fitting:
            raise RaysweepError(
                f"{self.store.uri} holds several trained trunks for {what}: {_named(fitting)}. Choose one with --set "
                "init.trunk_trial=ID and --variants, or name a store with one."
            )
        raise RaysweepError(
            f"{self.store.uri} holds no trained trunk for {what}{self._nearest(recipe)}. Train it there on other "
            "images with --keep-checkpoints, or leave its variants out with --variants."
        )

    def _nearest(self, recipe: Recipe) -> str:
        alike = [entry for entry in self.trained if entry.recipe.network.name == recipe.network.name]
        if not alike:
            return ""
        return "; there " + ", ".join(f"{entry.trial} has {_differences(entry.recipe, recipe)}" for entry in alike[:3])

    def _check(self, recipe: Recipe, found: Trained) -> None:
        if not self.store.has_checkpoint(found.trial):
            raise RaysweepError(
                f"the weights of {found.trial} in {self.store.uri} were not kept. Train it anew: `raysweep trial "
                f"{found.trial} --store {self.store.uri} --into OTHER_STORE --keep-checkpoint`, then --trunks "
                "OTHER_STORE."
            )
        outputs = replace(found.recipe.network, outputs=recipe.network.outputs)
        if find_cost(replace(found.recipe, network=outputs)).params != find_cost(recipe).params:
            raise RaysweepError(
                f"the trunk of {found.trial} was trained on crops of {found.recipe.data.side} px, this recipe has "
                f"{recipe.data.side} px: layers of {recipe.network.name} have other sizes there. Use crops of one "
                "side, or a head that averages over the map, such as --set network.head=avepool_clf, for both."
            )


def fits(trained: Recipe, wanted: Recipe) -> bool:
    """Whether the trained network can be the trunk: same network and seed, other images."""
    return not _changes(trained, wanted) and _other_images(trained, wanted)


def _other_images(trained: Recipe, wanted: Recipe) -> bool:
    return not wanted.data.digest or trained.data.digest != wanted.data.digest


def _changes(trained: Recipe, wanted: Recipe) -> list[str]:
    aligned = replace(trained, network=replace(trained.network, outputs=wanted.network.outputs))
    values = diff(aligned, wanted)
    return [f"{path} {values[path]}" for path in values if path == "seed" or path.startswith("network.")]


def _differences(trained: Recipe, wanted: Recipe) -> str:
    found = _changes(trained, wanted)
    return " and ".join(found) if found else "the same images"


def _named(entries: Iterable[Trained]) -> str:
    shown = [f"{entry.trial} ({entry.data}, {entry.recipe.training.epochs:.4g} epochs)" for entry in entries]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more
