"""The trained network of a trial, with its normalisation, ready to be exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.networks import build_network
from raysweep.own_code import unpack
from raysweep.recipe import DataRecipe, Recipe
from raysweep.safe import command
from raysweep.train import checkpoint

if TYPE_CHECKING:
    from raysweep.data.manifest import Manifest
    from raysweep.store.store import Store


class OnPixels(nn.Module):
    """A network that takes grey levels, as `data.preprocess` gives them, and normalises them itself."""

    mean: Tensor

    def __init__(self, network: nn.Module, data: DataRecipe) -> None:
        super().__init__()
        self.network = network
        self.scale = data.scale
        self.register_buffer("mean", torch.tensor(data.mean).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels (N, C, side, side), 0 to 255 -> logits (N, outputs)."""
        logits: Tensor = self.network((pixels - self.mean) * self.scale)
        return logits


@dataclass(frozen=True)
class Trained:
    """A finished trial with its network in evaluation mode, in float32 on the CPU."""

    row: dict[str, Any]
    recipe: Recipe
    network: OnPixels
    classes: tuple[str, ...]
    """Names, in the order of the outputs."""
    encoding: str = "raw"
    """How its images were stored: jpg, raw or mixed."""
    quality: int = 90
    """The JPEG quality; has no meaning for raw."""

    @property
    def trial(self) -> str:
        """The id."""
        return str(self.row["trial"])

    @property
    def example(self) -> Tensor:
        """Two grey images that the network takes, (2, C, side, side)."""
        return torch.full((2, *self.recipe.data.shape), 128.0)


def read_trained(store: Store, trial: str) -> Trained:
    """The trained network of a trial of a store.

    Raises:
        RaysweepError: no such trial, one that has not finished, or one whose checkpoint was not kept.
    """
    trial = store.find_trial(trial)
    row = store.trial(trial) or {}
    if row.get("status") != "finished":
        raise RaysweepError(f"trial {trial} is {row.get('status')}: only a finished one can be exported.")
    recipe = recipe_from_json(row["recipe"])
    saved = store.read_checkpoint(trial)
    if saved is None:
        again = command("raysweep", "trial", trial, "--store", store.uri, "--into", "kept", "--keep-checkpoint")
        raise RaysweepError(
            f"the weights of trial {trial} were not kept. Train it again, to the same weights on the same machine: "
            f"`{again}`, then export it from --store kept."
        )
    network = empty_network(recipe)
    network.network.load_state_dict(checkpoint.weights(saved))
    manifest = store.manifests().get(row.get("data_digest") or "")
    stored = (manifest.encoding, manifest.quality) if manifest else ()
    return Trained(row, recipe, network, _classes(manifest, recipe), *stored)


def empty_network(recipe: Recipe) -> OnPixels:
    """The network of a recipe in evaluation mode, with arbitrary weights.

    Raises:
        RaysweepError: it cannot be built; the code of a user's network must have been named in this process.
    """
    unpack((), recipe)
    network = build_network(recipe.network, recipe.data.shape)
    return OnPixels(network, recipe.data).eval().requires_grad_(False)


def _classes(manifest: Manifest | None, recipe: Recipe) -> tuple[str, ...]:
    names = manifest.classes if manifest else ()
    return (*names, *(f"output {number}" for number in range(len(names), recipe.network.outputs)))
