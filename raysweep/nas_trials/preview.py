"""What searches would do, before money: what the store has of each, what is left of its budget, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from raysweep.cost import PASSES, accelerator, find_cost
from raysweep.errors import RaysweepError
from raysweep.nas.budget import HOUR_S, Budget
from raysweep.nas.method import Method
from raysweep.nas.successive_halving import SuccessiveHalving
from raysweep.nas.supernet_methods import WeightSharing
from raysweep.nas_trials.nas_request import NamedSearch, NasRequest
from raysweep.nas_trials.trial_spaces import TrialSpace
from raysweep.recipe import Recipe
from raysweep.sweeps.nas_sweep import example_of
from raysweep.sweeps.supernet_sweep import twin

EXAMPLES = 8
"""Architectures drawn at random for an estimate."""


@dataclass(frozen=True)
class Preview:
    """Of one search."""

    search: str
    method: str
    seed: int
    evaluations: int
    """That the store has."""
    best: float | None
    """Top-1 (0..1) on the images held out."""
    spent_h: float
    left: int | None
    """Evaluations to come, by the mean of some random architectures; none: the budget is one of hours alone."""
    estimated_gpu_h: float | None
    """Of those to come, by arithmetic on an assumed card; results that the store has already are not taken off."""


@dataclass(frozen=True)
class Typical:
    """Means over some random architectures of a space, each trained for the settings' number of epochs."""

    macs: float
    """Multiply-accumulates of a whole training."""
    gpu_h: float
    sentence: str
    """What the hours assume."""


def preview(asked: NasRequest) -> tuple[list[Preview], Typical]:
    """Every search of a request; builds some networks without memory, trains nothing, writes nothing.

    Raises:
        RaysweepError: whatever of the request cannot be done.
    """
    baseline = asked.training_request().baseline()
    space = asked.searched_space(baseline)
    named, typical = asked.named(baseline), typical_of(space, baseline)
    found = stored_evaluations(asked)
    previews = []
    for one in named:
        rows = [row for row in found if row["search"] == one.name]
        previews.append(_preview(one, rows, *_left(asked, one, len(rows), baseline, typical)))
    return previews, typical


def stored_evaluations(asked: NasRequest) -> list[dict[str, Any]]:
    """What the store has of any search; nothing where there is no store."""
    from raysweep.store.store import Store

    store = Store.open_if_exists(asked.request.store or "results")
    rows: list[dict[str, Any]] = store.evaluations().to_pylist() if store else []
    return rows


def _preview(
    one: NamedSearch, rows: Sequence[dict[str, Any]], left: int | None, estimated_gpu_h: float | None
) -> Preview:
    spent_h = sum(row["cost_s"] for row in rows) / HOUR_S
    known = [(row["fidelity"] or 0.0, row["value"]) for row in rows if row["value"] is not None]
    _, best = max(known, default=(None, None))
    return Preview(one.name, one.label, one.seed, len(rows), best, spent_h, left, estimated_gpu_h)


def _left(
    asked: NasRequest, one: NamedSearch, done: int, baseline: Recipe, typical: Typical
) -> tuple[int | None, float | None]:
    """Evaluations to come, and their GPU-hours."""
    budget = asked.budget_of(one.method)
    if isinstance(one.method, WeightSharing):
        recipe = twin(asked.trial_space(), asked.shared_recipe(baseline, one.method, one.seed))
        left = max(0, one.method.evaluations - done)
        hours = accelerator(recipe).hours(recipe, find_cost(recipe))
        return left, hours * left / one.method.evaluations
    share = mean_epochs(one.method, baseline) / baseline.training.epochs
    to_come = evaluations_left(budget, done, share * baseline.training.epochs, share * typical.macs)
    return to_come, None if to_come is None else to_come * share * typical.gpu_h


def evaluations_left(budget: Budget, done: int, epochs: float, macs: float) -> int | None:
    """How many evaluations of so many epochs and multiply-accumulates a budget still has room for; none: not known."""
    limits = [
        limit / each
        for limit, each in ((budget.evaluations, 1.0), (budget.epochs, epochs), (budget.macs, macs))
        if limit is not None and each
    ]
    return max(0, round(min(limits)) - done) if limits else None


def mean_epochs(method: Method, baseline: Recipe) -> float:
    """Epochs of an evaluation; of successive halving the mean over its rungs, where one in eta goes on."""
    if not isinstance(method, SuccessiveHalving):
        return baseline.training.epochs
    rungs = method.fidelities
    weights = [1 / float(method.eta) ** number for number in range(len(rungs))]
    return sum(weight * epochs for weight, epochs in zip(weights, rungs, strict=True)) / sum(weights)


def typical_of(space: TrialSpace, baseline: Recipe) -> Typical:
    """What an evaluation takes.

    Raises:
        RaysweepError: none of the examples can be built.
    """
    costs = []
    for number in range(EXAMPLES):
        recipe = replace(example_of(space, baseline, number), training=baseline.training)
        try:
            costs.append((recipe, find_cost(recipe)))
        except RaysweepError as error:  # a combination that there is not, which a search is told as a failure
            problem = error
    if not costs:
        raise RaysweepError(f"none of {EXAMPLES} random architectures of {space.name} can be built: {problem}")
    images = baseline.length.iterations * baseline.training.batch_size
    return Typical(
        mean(float(PASSES * cost.macs * images) for _, cost in costs),
        mean(accelerator(recipe).hours(recipe, cost) for recipe, cost in costs),
        accelerator(baseline).sentence,
    )
