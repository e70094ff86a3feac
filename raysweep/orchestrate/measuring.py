"""How much of a device a trial needs, measured on the cluster where the trials will run, and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import ray
from ray.exceptions import RayError

from raysweep.cost import PASSES, cost_key, find_cost
from raysweep.disk.cache import recall, remember
from raysweep.errors import RaysweepError
from raysweep.identity import digest
from raysweep.orchestrate.events import headline
from raysweep.orchestrate.nodes import Node
from raysweep.recipe import Recipe
from raysweep.train.memory import GIB
from raysweep.train.probe import MOST, Carried, carried
from raysweep.train.work import Question
from raysweep.train.worker import GangShape

NAME = "packing"
NEAR = 0.25
"""Share of a node's memory above which the estimate is not trusted, and memory is measured."""


def heaviest(recipes: Iterable[Recipe]) -> Recipe:
    """Return the recipe whose updates need the most memory: activations of the images trained at a time."""
    return max(recipes, key=_load)


def _load(recipe: Recipe) -> float:
    try:
        cost = find_cost(recipe)
    except RaysweepError:  # the network cannot be built: its trial will report it
        return 0.0
    return cost.activations * recipe.training.batch_size / recipe.training.accumulate + cost.params


def measured_shape(shape: GangShape, recipe: Recipe, nodes: Sequence[Node], note: Callable[[str], None]) -> GangShape:
    """Return the shape with the share of a GPU, or on CPUs the memory, that this recipe needs.

    A GPU is shared by as many trials as fit and as make it faster. Memory of CPU nodes is measured only if it may be
    short.
    """
    if shape.gpus:
        found = _known(recipe, nodes, shape, "cuda", note)
        return replace(shape, gpus=1 / found.trials) if found else shape
    if not may_be_short(estimated_gib(recipe), nodes, shape):
        return shape
    found = _known(recipe, nodes, shape, "cpu", note)
    most = max(node.get("memory", 0.0) for node in nodes) / GIB  # a trial that needs more gets a node to itself
    return replace(shape, memory_gib=min(found.memory_gib, most)) if found else shape


def estimated_gib(recipe: Recipe) -> float:
    """Estimate roughly what training needs, to decide whether to measure: values, gradients, momentum."""
    return 4 * PASSES * _load(recipe) / GIB


def may_be_short(needed_gib: float, nodes: Iterable[Node], shape: GangShape) -> bool:
    """Return whether as many trials as a node has CPUs for come close to its memory."""
    return any(
        node.get("CPU", 0.0) // shape.cpus * needed_gib * GIB > NEAR * node["memory"]
        for node in nodes
        if node.get("memory")
    )


def _known(
    recipe: Recipe, nodes: Sequence[Node], shape: GangShape, device: str, note: Callable[[str], None]
) -> Carried | None:
    """Return a measurement from the cache, or make it now; None if it failed, which is reported and not cached."""
    key = measured_key(recipe, nodes, shape.cpus, device)
    if (found := recall(NAME).get(key)) is None:
        note("measuring how much of a device one trial needs; the result is cached")
        found = _measure(recipe, nodes, shape, device)
        if "error" in found:
            note(f"could not measure how much of a device one trial needs: {found['error']}")
            return None
        remember(NAME, recall(NAME) | {key: found})
    measurement = Carried(**found)
    note(summary(measurement))
    return measurement


def summary(found: Carried) -> str:
    """Describe a measurement in one line."""
    speeds = ", ".join(f"{speed:,.0f} with {count}" for count, speed in found.images_per_s.items())
    return f"{found.trials} trial(s) per device: {found.memory_gib:.1f} GiB each; images/s with N at once: {speeds}"


def measured_key(recipe: Recipe, nodes: Iterable[Node], threads: int, device: str) -> str:
    """Return the cache key of a measurement: the network's size, how it is trained, and on what."""
    training = recipe.training
    kinds = sorted({name for node in nodes for name in node if name.startswith("accelerator_type:")})
    how = [training.batch_size, training.accumulate, training.precision, training.channels_last, recipe.solver.name]
    return digest([cost_key(recipe), how, kinds, threads, device])


def cpus_per_gpu(nodes: Iterable[Node]) -> int:
    """Return the smallest number of CPUs per GPU of any node."""
    return int(min(node.get("CPU", 0.0) // node["GPU"] for node in nodes if node.get("GPU", 0.0) >= 1))


def _measure(recipe: Recipe, nodes: Sequence[Node], shape: GangShape, device: str) -> dict[str, Any]:
    cpus = max(shape.cpus, cpus_per_gpu(nodes)) if device == "cuda" else shape.cpus
    # Ray would retry a task that it kills for memory without end and without a word.
    task = ray.remote(num_cpus=cpus, num_gpus=int(device == "cuda"), max_retries=0)(_measured_here)
    try:
        return dict(ray.get(task.remote(Question.about(recipe, device, shape.cpus), cpus // shape.cpus)))
    except RayError as error:  # for example the measuring worker was killed because the node ran out of memory
        return {"error": headline(str(error))}


def _measured_here(question: Question, most: int) -> dict[str, Any]:
    import torch

    if question.device == "cuda" and not torch.cuda.is_available():
        return {"error": "Ray counts a GPU that torch cannot use"}
    try:
        return asdict(carried(question, min(MOST, most)))
    except RuntimeError as error:
        return {"error": str(error)}
