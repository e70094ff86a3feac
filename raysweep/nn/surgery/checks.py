"""Checks of networks from outside: what they give, and whether one seed makes one network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.nn.surgery.operation import does_not_run
from raysweep.recipe import NetworkRecipe


def check_outputs(network: nn.Module, recipe: NetworkRecipe, own: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Refuse a network that does not give the recipe's number of logits for each image, in training and at test.

    `own` are the network's own values of fields.

    Raises:
        RaysweepError: it gives something else.
        InapplicableError: it does not run on images of `shape`.
    """
    for mode, training in (("training", True), ("test", False)):
        network.train(training)
        try:
            with torch.no_grad():
                found = network(torch.zeros(2, *shape))
        except Exception as error:  # whatever the code of others raises
            raise does_not_run(recipe, own, shape, error) from error
        _check_output(found, mode, recipe)


def _check_output(found: object, mode: str, recipe: NetworkRecipe) -> None:
    if not isinstance(found, Tensor):
        several = isinstance(found, tuple | list)
        what = f"a {type(found).__name__}" + (f" of {len(found)}" if several else "")  # type: ignore[arg-type]
        step = " If the others are logits of auxiliary heads, set network.aux_weight." if mode == "training" else ""
        raise RaysweepError(
            f"{recipe.name} returns {what} in {mode}, but a network must return one tensor of logits (N, outputs): "
            f"wrap it in a module that returns the logits.{step}"
        )
    if found.dim() == 2 and mode == "training" and recipe.aux_weight:
        raise InapplicableError(f"{recipe.name} has no auxiliary heads: leave network.aux_weight at 0.")
    logits = found[0] if found.dim() == 3 and mode == "training" and recipe.aux_weight else found
    if logits.dim() != 2 or len(logits) != 2:
        raise RaysweepError(
            f"{recipe.name} returns a tensor of shape {tuple(found.shape)} for 2 images in {mode}, but logits have "
            "the shape (2, outputs): let it average or flatten its map before it returns."
        )
    if logits.shape[1] != recipe.outputs:
        raise RaysweepError(
            f"{recipe.name} has {logits.shape[1]} outputs, but network.outputs is {recipe.outputs}: let it use the "
            "num_classes that it is given, or leave that argument out so that its classifier is replaced."
        )


def check_equal(build: Callable[[], nn.Module], recipe: NetworkRecipe) -> None:
    """Refuse a network that is another one each time it is built with the same seed.

    Raises:
        RaysweepError: with the first layer that differs.
    """
    state = torch.get_rng_state()
    try:
        first, second = (_weights(build) for _ in range(2))
    finally:
        torch.set_rng_state(state)
    differing = [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)]
    if differing:
        raise RaysweepError(
            f"two networks that {recipe.name} builds with the same seed differ, in {min(differing)}: a trial could "
            "neither be repeated nor resumed. Draw all that is random with torch, and from no other generator."
        )


def _weights(build: Callable[[], nn.Module]) -> dict[str, str]:
    """A digest of every weight of a network built with a fixed seed."""
    torch.manual_seed(0)
    state = {name: value for name, value in build().state_dict().items() if isinstance(value, Tensor)}
    return {name: f"{tuple(value.shape)} {_digest(value)}" for name, value in state.items()}


def _digest(value: Tensor) -> str:
    raw = value.detach().cpu().contiguous().view(-1).view(torch.uint8) if value.numel() else torch.empty(0)
    return hashlib.blake2b(raw.numpy().tobytes(), digest_size=8).hexdigest()
