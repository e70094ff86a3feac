"""What a trial costs before it runs: parameters, multiply-accumulates, activations, GPU-hours, money.

The costs of every shipped variant are in `costs.json`, so a plan needs no torch. Any other network is built once on
meta tensors (shapes without memory) and remembered in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.disk.cache import recall, remember
from raysweep.errors import RaysweepError
from raysweep.identity import digest
from raysweep.networks import build_network, networks
from raysweep.patch import diff, patch
from raysweep.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

GOLDENS = Path(__file__).parent / "costs.json"
PASSES = 3
"""Forward, gradient of activations, gradient of weights: each about one forward pass of multiply-accumulates."""


@dataclass(frozen=True)
class Cost:
    """Of one network at one image side."""

    params: int
    macs: int
    """Multiply-accumulates of convolutions and fully connected layers, one image, forward."""
    activations: int
    """Elements in the outputs of convolutions and fully connected layers, one image."""


@dataclass(frozen=True)
class Accelerator:
    """An assumption about speed: a card's peak and the share of it that training reaches."""

    name: str
    peak_tflops: float
    share: float

    @property
    def sentence(self) -> str:
        """The assumption in words."""
        return f"GPU-hours assume {self.share:.0%} of {self.name}'s {self.peak_tflops:g} TFLOP/s; not measured"

    def hours(self, recipe: Recipe, cost: Cost) -> float:
        """Hours to train the recipe, by arithmetic alone."""
        images = recipe.length.iterations * recipe.training.batch_size
        return 2 * PASSES * cost.macs * images / (self.peak_tflops * 1e12 * self.share) / 3600


# Peaks are the vendor's dense figures: TF32 where the recipe asks for float32, bfloat16 otherwise.
A100_FLOAT32 = Accelerator("an A100", 156, 0.25)
A100_BFLOAT16 = Accelerator("an A100", 312, 0.25)


def accelerator(recipe: Recipe) -> Accelerator:
    """The card that estimates assume, at the recipe's precision."""
    return A100_BFLOAT16 if recipe.training.precision == "bfloat16" else A100_FLOAT32


def cost_key(recipe: Recipe) -> str:
    """What decides a network's cost: the network's fields and the image side, as 12 hex digits."""
    relevant = {
        path: value
        for path, value in diff(recipe, Recipe()).items()
        if (path.startswith("network.") and path != "network.dropout") or path in ("data.side", "data.preprocess")
    }
    return digest(relevant)


@cache
def goldens() -> Mapping[str, Cost]:
    """The committed costs of the shipped variants on the shipped protocols."""
    return _costs(json.loads(GOLDENS.read_text()))


def _costs(found: Mapping[str, Any]) -> dict[str, Cost]:
    try:
        return {key: Cost(**value) for key, value in found.items()}
    except TypeError:
        return {}  # of another version: computed again


def find_cost(recipe: Recipe) -> Cost:
    """The cost of the recipe's network: committed, remembered, or computed now (which loads torch).

    Raises:
        RaysweepError: the network cannot be built.
    """
    key = cost_key(recipe)
    return goldens().get(key) or _remembered().get(key) or _remember(key, compute_cost(recipe))


@cache
def _name() -> str:
    # Of the code that decides costs: a changed network is computed again.
    source = Path(__file__).parent
    files = sorted([*source.glob("networks/*.py"), *source.glob("nn/*.py"), source / "recipe.py"])
    code = hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=6).hexdigest()
    return f"costs-{code}"


@cache
def _remembered() -> dict[str, Cost]:
    return _costs(recall(_name()))


def _remember(key: str, cost: Cost) -> Cost:
    _remembered()[key] = cost
    remember(_name(), {name: asdict(value) for name, value in _remembered().items()})
    return cost


def native_recipe(name: str) -> Recipe:
    """A network as its paper has it: its own factors, at its native image side and number of classes.

    Raises:
        RaysweepError: no such network; the message holds the nearest ones.
    """
    found = networks()[name]
    return patch(Recipe(), {"network.name": name, "network.outputs": found.classes, "data.side": found.side})


def compute_cost(recipe: Recipe) -> Cost:
    """Build the network on meta tensors and count.

    Raises:
        RaysweepError: the network cannot be built.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        network = build_network(recipe.network, recipe.data.shape).eval()
        outputs = _count_outputs(network)
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, *recipe.data.shape))
    params = sum(weight.numel() for weight in network.parameters())
    return Cost(params, counter.get_total_flops() // 2, sum(outputs))


def _count_outputs(network: nn.Module) -> list[int]:
    from raysweep.nn.inits import weighted_layers

    outputs: list[int] = []
    for layer in weighted_layers(network):
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output.numel()))
    return outputs


def write_goldens(recipes: list[Recipe]) -> None:
    """Compute the costs of these recipes and make them the committed ones."""
    found = {cost_key(recipe): recipe for recipe in recipes}
    lines = [f'"{key}": {json.dumps(asdict(compute_cost(found[key])))}' for key in sorted(found)]
    GOLDENS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    goldens.cache_clear()


def money(gpu_h: float, price_per_gpu_h: float) -> float:
    """GPU-hours at a price, in the currency of the price.

    Raises:
        RaysweepError: a negative price.
    """
    if price_per_gpu_h < 0:
        raise RaysweepError(f"a GPU-hour cannot cost {price_per_gpu_h:g}: give a price of 0 or more.")
    return gpu_h * price_per_gpu_h
