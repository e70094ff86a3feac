"""The cost of a trial before it runs: parameters, multiply-accumulates, activations, GPU-hours.

The costs of every shipped variant are in `costs.json`, so a plan needs no torch. Any other network is built once on
meta tensors (shapes without memory) and its cost is kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from raysweep.disk.cache import recall, remember
from raysweep.identity import digest
from raysweep.networks import build_network, native_images
from raysweep.networks.outside import check_outside, is_outside
from raysweep.patch import diff, patch
from raysweep.recipe import Recipe

PACKAGE = Path(__file__).parent
GOLDENS = PACKAGE / "costs.json"
PASSES = 3
"""Forward, gradients of activations, gradients of weights: each needs about as many multiply-accumulates."""
REACHED = 0.25
"""Assumed fraction of the peak that training reaches."""


@dataclass(frozen=True)
class Cost:
    """The cost of a network at one image side."""

    params: int
    macs: int
    """Multiply-accumulates of convolutions and fully connected layers in the forward pass of one image."""
    activations: int
    """Number of output elements of convolutions and fully connected layers for one image."""


def peak_tflops(recipe: Recipe) -> int:
    """The vendor's peak of the assumed GPU, an A100, for dense matrices: TF32 for recipes in float32."""
    return 312 if recipe.training.precision == "bfloat16" else 156


def gpu_hours(recipe: Recipe, cost: Cost) -> float:
    """Estimated hours to train the recipe on the assumed GPU."""
    images = recipe.length.iterations * recipe.training.batch_size
    return 2 * PASSES * cost.macs * images / (peak_tflops(recipe) * 1e12 * REACHED) / 3600


def assumption(recipe: Recipe) -> str:
    """The assumption behind `gpu_hours` as a phrase."""
    return f"This assumes {REACHED:.0%} of an A100's peak of {peak_tflops(recipe)} TFLOP/s; not measured"


def cost_key(recipe: Recipe) -> str:
    """Digest of the fields that decide the cost: those of the network and the size of its input."""
    relevant = {
        path: value
        for path, value in diff(recipe, Recipe()).items()
        if (path.startswith("network.") and path != "network.dropout") or path in ("data.side", "data.preprocess")
    }
    return digest(relevant)


@cache
def goldens() -> Mapping[str, Cost]:
    """The committed costs of the shipped variants on the shipped protocols."""
    return {key: Cost(**value) for key, value in json.loads(GOLDENS.read_text()).items()}


def find_cost(recipe: Recipe) -> Cost:
    """The cost of the recipe's network: committed, cached, or computed now (which loads torch).

    Raises:
        RaysweepError: the network cannot be built.
    """
    key = cost_key(recipe)
    if key not in _found:
        _found[key] = goldens().get(key) or _cached(key, recipe)
    return _found[key]


_found: dict[str, Cost] = {}
"""Costs that this process has asked for."""


def _cached(key: str, recipe: Recipe) -> Cost:
    """The cost from the cache, computed now if it is not there."""
    name = f"costs-{_code()}/{key}"  # one file a cost, so that processes do not overwrite each other's
    with suppress(TypeError):  # missing, or damaged
        return Cost(**recall(name))
    cost = compute_cost(recipe)
    remember(name, asdict(cost))
    return cost


@cache
def _code() -> str:
    """Digest of the files that decide what a network costs: when one changes, costs are computed again."""
    folders = [PACKAGE / name for name in ("genotypes", "networks", "nn", "nn/surgery")]
    files = [PACKAGE / "cost.py", PACKAGE / "recipe.py"]
    files += [file for folder in folders for suffix in ("py", "csv") for file in sorted(folder.glob(f"*.{suffix}"))]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=6).hexdigest()


def native_recipe(name: str) -> Recipe:
    """A network as published: with its own factors, at its native image side and number of classes.

    Raises:
        RaysweepError: no such network; the message lists the nearest ones.
    """
    side, classes = native_images(name)
    return patch(Recipe(), {"network.name": name, "network.outputs": classes, "data.side": side})


def compute_cost(recipe: Recipe) -> Cost:
    """The cost of the recipe's network, counted on meta tensors.

    Raises:
        RaysweepError: the network cannot be built.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from raysweep.nn.inits import weighted_layers

    if is_outside(recipe.network.name):
        check_outside(recipe.network, recipe.data.shape)
    outputs: list[int] = []
    with torch.device("meta"), torch.no_grad():
        network = build_network(recipe.network, recipe.data.shape).eval().requires_grad_(False)
        for layer in weighted_layers(network):
            layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output.numel()))
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, *recipe.data.shape))
    params = sum(weight.numel() for weight in network.parameters())
    return Cost(params, counter.get_total_flops() // 2, sum(outputs))


def write_goldens(recipes: list[Recipe]) -> None:
    """Compute the costs of these recipes and write them to the committed file."""
    found = {cost_key(recipe): recipe for recipe in recipes}
    lines = [f'"{key}": {json.dumps(asdict(compute_cost(found[key])))}' for key in sorted(found)]
    GOLDENS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    goldens.cache_clear()
    _found.clear()
