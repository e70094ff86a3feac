"""Trunks: networks trained earlier, which other trials start from.

The trunk is a network without its classifier. A finished trial fits a recipe if its network is the same except for the
number of outputs, its seed is the same, and it was trained on other images.
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
from raysweep.safe import command
from raysweep.store.store import Store

MOST_NAMED = 3
"""Maximum number of trials in a message."""


@dataclass(frozen=True)
class Trained:
    """A finished trial, whose network may serve as a trunk."""

    trial: str
    recipe: Recipe
    data: str
    """Name of its image set."""


def wants_trunk(recipe: Recipe) -> bool:
    """Whether the recipe starts from a trained network."""
    return recipe.init.trunk != "none"


class Trunks:
    """The trained networks of a store."""

    def __init__(self, uri: str) -> None:
        """Open the store.

        Raises:
            RaysweepError: the store does not exist or cannot be read.
        """
        self.store = Store.open(uri)

    @cached_property
    def trained(self) -> list[Trained]:
        """Every finished trial that did not start from a trunk itself."""
        rows = self.store.trials(["trial", "status", "recipe", "data_name"]).to_pylist()
        ended = [row for row in rows if row["status"] == "finished"]
        found = [Trained(row["trial"], recipe_from_json(row["recipe"]), row["data_name"] or "") for row in ended]
        return [entry for entry in found if not wants_trunk(entry.recipe)]

    def bind(self, recipe: Recipe) -> Recipe:
        """The recipe with the id of the trial of its trunk; unchanged if it does not start from a trunk.

        Raises:
            RaysweepError: no trial or several trials fit, its weights were not kept, or its layers have other sizes.
        """
        if not wants_trunk(recipe):
            return recipe
        found = self._one(recipe)
        bound = replace(recipe, init=replace(recipe.init, trunk_trial=found.trial))
        self._check(bound, found)
        return bound

    def _one(self, recipe: Recipe) -> Trained:
        given = recipe.init.trunk_trial
        fitting = [entry for entry in self.trained if (entry.trial == given if given else fits(entry.recipe, recipe))]
        if len(fitting) == 1:
            return fitting[0]
        what = f"trial {given}" if given else f"{recipe.network.name} with seed {recipe.seed}"
        if fitting:
            raise RaysweepError(
                f"{self.store.uri} has several trained trunks for {what}: {_listed(fitting)}. Choose one with --set "
                "init.trunk_trial=ID and --variants, or use a store that has only one."
            )
        raise RaysweepError(
            f"{self.store.uri} has no trained trunk for {what}{self._nearest(recipe)}. Train one there on other images "
            "with --keep-checkpoints, or leave out the variants that need it with --variants."
        )

    def _nearest(self, recipe: Recipe) -> str:
        alike = [entry for entry in self.trained if entry.recipe.network.name == recipe.network.name]
        if not alike:
            return ""
        differing = [(entry.trial, " and ".join(_changes(entry.recipe, recipe))) for entry in alike[:MOST_NAMED]]
        return "; " + ", ".join(f"{trial} has {changes or 'the same images'}" for trial, changes in differing)

    def _check(self, recipe: Recipe, found: Trained) -> None:
        if not self.store.has_checkpoint(found.trial):
            again = ("raysweep", "trial", found.trial, "--store", self.store.uri)
            raise RaysweepError(
                f"the weights of {found.trial} in {self.store.uri} were not kept. Train it again with "
                f"`{command(*again, '--into', 'OTHER_STORE', '--keep-checkpoint')}`, then use --trunks OTHER_STORE."
            )
        outputs = replace(found.recipe.network, outputs=recipe.network.outputs)
        if find_cost(replace(found.recipe, network=outputs)).params != find_cost(recipe).params:
            raise RaysweepError(
                f"the trunk of {found.trial} was trained on crops of {found.recipe.data.side} px, but this recipe has "
                f"crops of {recipe.data.side} px, for which layers of {recipe.network.name} have other sizes. Use the "
                "same size for both, or a head that averages over the map, such as --set network.head=avepool_clf."
            )


def fits(trained: Recipe, recipe: Recipe) -> bool:
    """Whether a trained network can be the trunk of a recipe: same network and seed, other images."""
    same_images = recipe.data.digest and trained.data.digest == recipe.data.digest
    return not same_images and not _changes(trained, recipe)


def _changes(trained: Recipe, recipe: Recipe) -> list[str]:
    aligned = replace(trained, network=replace(trained.network, outputs=recipe.network.outputs))
    values = diff(aligned, recipe)
    return [f"{path} {values[path]}" for path in values if path == "seed" or path.startswith("network.")]


def _listed(entries: Iterable[Trained]) -> str:
    shown = [f"{entry.trial} ({entry.data}, {entry.recipe.training.epochs:.4g} epochs)" for entry in entries]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more
