"""What a trial takes of a device, measured on the cluster where the trials will run, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import ray

from raysweep.cost import PASSES, cost_key, find_cost
from raysweep.disk.cache import recall, remember
from raysweep.errors import RaysweepError
from raysweep.identity import digest, recipe_json
from raysweep.orchestrate.nodes import Node
from raysweep.recipe import Recipe
from raysweep.train.memory import GIB
from raysweep.train.probe import MOST, Carried, Question, carried
from raysweep.train.worker import GangShape

NAME = "packing"
NEAR = 0.25
"""Share of a node's memory beyond which an estimate is no reason not to measure."""


def heaviest(recipes: Iterable[Recipe]) -> Recipe:
    """The recipe whose updates hold most in memory: activations of the images that are trained at a time."""
    return max(recipes, key=_load)


def _load(recipe: Recipe) -> float:
    try:
        cost = find_cost(recipe)
    except RaysweepError:  # a network that cannot be built: its trial will say so
        return 0.0
    return cost.activations * recipe.training.batch_size / recipe.training.accumulate + cost.params


def measured_shape(shape: GangShape, recipe: Recipe, nodes: Sequence[Node], tell: Callable[[str], None]) -> GangShape:
    """The shape with its share of a GPU, or on CPUs with its memory, as this recipe needs them.

    A GPU is shared by as many trials as fit and pay. Memory of CPU nodes is measured where it may be short at all.
    """
    if shape.gpus:
        found = _known(recipe, nodes, shape, "cuda", tell)
        return replace(shape, gpus=1 / found.trials) if found else shape
    if not may_be_short(estimated_gib(recipe), nodes, shape):
        return shape
    found = _known(recipe, nodes, shape, "cpu", tell)
    most = max(node.get("memory", 0.0) for node in nodes) / GIB  # what takes more still has a node to itself
    return replace(shape, memory_gib=min(found.memory_gib, most)) if found else shape


def estimated_gib(recipe: Recipe) -> float:
    """A rough guess at what training takes, that only decides whether to measure: values, gradients, momentum."""
    return 4 * PASSES * _load(recipe) / GIB


def may_be_short(needed_gib: float, nodes: Iterable[Node], shape: GangShape) -> bool:
    """Whether as many trials as a node has CPUs for come near its memory."""
    return any(
        node.get("CPU", 0.0) // shape.cpus * needed_gib * GIB > NEAR * node["memory"]
        for node in nodes
        if node.get("memory")
    )


def _known(
    recipe: Recipe, nodes: Sequence[Node], shape: GangShape, device: str, tell: Callable[[str], None]
) -> Carried | None:
    """A measurement: remembered, or made now; none where it could not be made, which is told."""
    key = measured_key(recipe, nodes, shape.cpus, device)
    if (found := recall(NAME).get(key)) is None:
        tell("measuring what a network of this size takes, once")
        found = _measure(recipe, nodes, shape, device)
        remember(NAME, recall(NAME) | {key: found})
    if "error" in found:
        tell(f"not measured what a trial takes: {found['error']}")
        return None
    carried_there = Carried(**found)
    tell(summary(carried_there))
    return carried_there


def summary(found: Carried) -> str:
    """A measurement in a line."""
    speeds = ", ".join(f"{count} at once {speed:,.0f}" for count, speed in found.images_per_s.items())
    return f"{found.trials} trial(s) a device at once: each takes {found.memory_gib:.1f} GiB; images/s of {speeds}"


def measured_key(recipe: Recipe, nodes: Iterable[Node], threads: int, device: str) -> str:
    """What decides a measurement: the network's size, how it is trained, and on what."""
    training = recipe.training
    kinds = sorted({name for node in nodes for name in node if name.startswith("accelerator_type:")})
    how = [training.batch_size, training.accumulate, training.precision, training.channels_last, recipe.solver.name]
    return digest([cost_key(recipe), how, kinds, threads, device])


def cpus_per_gpu(nodes: Iterable[Node]) -> int:
    """CPUs of a node for each of its GPUs, where there are fewest."""
    return int(min(node.get("CPU", 0.0) // node["GPU"] for node in nodes if node.get("GPU", 0.0) >= 1))


def _measure(recipe: Recipe, nodes: Sequence[Node], shape: GangShape, device: str) -> dict[str, Any]:
    cpus = max(shape.cpus, cpus_per_gpu(nodes)) if device == "cuda" else shape.cpus
    task = ray.remote(num_cpus=cpus, num_gpus=int(device == "cuda"))(_measured_here)
    return dict(ray.get(task.remote(Question(recipe_json(recipe), device, shape.cpus), cpus // shape.cpus)))


def _measured_here(question: Question, most: int) -> dict[str, Any]:
    import torch

    if question.device == "cuda" and not torch.cuda.is_available():
        return {"error": "torch sees no GPU where Ray counts one"}
    try:
        return asdict(carried(question, min(MOST, most)))
    except RuntimeError as error:
        return {"error": str(error)}
