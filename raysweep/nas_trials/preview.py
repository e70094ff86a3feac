"""A preview of searches: the evaluations in the store, what is left of each budget, and the estimated cost of that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean

from raysweep.cost import PASSES, assumption, find_cost, gpu_hours
from raysweep.errors import RaysweepError
from raysweep.nas.budget import HOUR_S, Budget
from raysweep.nas.method import Method
from raysweep.nas.methods.successive_halving import SuccessiveHalving
from raysweep.nas.methods.supernet_methods import SupernetMethod
from raysweep.nas_trials.nas_request import NamedSearch, NasRequest
from raysweep.nas_trials.supernet_task import twin
from raysweep.nas_trials.trial_spaces import TrialSpace, example_of
from raysweep.recipe import Recipe

EXAMPLES = 8
"""Number of random architectures behind an estimate."""


@dataclass(frozen=True)
class Preview:
    """The preview of one search."""

    method: str
    seed: int
    evaluations: int
    """Number of evaluations in the store."""
    best: float | None
    """Top-1 accuracy (0..1) on the held-out images."""
    spent_h: float
    left: int | None
    """Estimated number of evaluations to come, from some random architectures. None if the budget is only in hours."""
    estimated_gpu_h: float | None
    """GPU-hours of these, computed for an assumed card; results that the store already has are not subtracted."""


@dataclass(frozen=True)
class Typical:
    """Means over some random architectures of a space, each trained for the number of epochs in the settings."""

    macs: float
    """Multiply-accumulates of a complete training."""
    gpu_h: float
    sentence: str
    """The assumptions behind the hours."""


def preview(asked: NasRequest) -> tuple[list[Preview], Typical]:
    """The preview of every search of a request. Builds some networks on meta tensors; trains and writes nothing.

    Raises:
        RaysweepError: the request cannot be carried out.
    """
    from raysweep.store.store import Store

    baseline = asked.training_request().baseline()
    named, typical = asked.named(baseline), typical_of(asked.searched_space(baseline), baseline)
    store = Store.open_if_exists(asked.request.store or "results")
    found = store.evaluations().to_pylist() if store else []
    previews = []
    for one in named:
        rows = [row for row in found if row["search"] == one.name]
        known = [(row["fidelity"] or 0.0, row["value"]) for row in rows if row["value"] is not None]
        _, best = max(known, default=(None, None))
        spent_h = sum(row["cost_s"] for row in rows) / HOUR_S
        left = _left(asked, one, len(rows), baseline, typical)
        previews.append(Preview(one.label, one.seed, len(rows), best, spent_h, *left))
    return previews, typical


def _left(
    asked: NasRequest, one: NamedSearch, done: int, baseline: Recipe, typical: Typical
) -> tuple[int | None, float | None]:
    """The number of evaluations to come, and their GPU-hours."""
    budget = asked.budget_of(one.method)
    if isinstance(one.method, SupernetMethod):
        recipe = twin(asked.trial_space(), asked.supernet_recipe(baseline, one.method, one.seed))
        left = max(0, one.method.evaluations - done)
        hours = gpu_hours(recipe, find_cost(recipe))
        return left, hours * left / one.method.evaluations
    share = mean_epochs(one.method, baseline) / baseline.training.epochs
    to_come = evaluations_left(budget, done, share * baseline.training.epochs, share * typical.macs)
    return to_come, None if to_come is None else to_come * share * typical.gpu_h


def evaluations_left(budget: Budget, done: int, epochs: float, macs: float) -> int | None:
    """Number of evaluations, each of these epochs and multiply-accumulates, left in a budget. None if unknown."""
    limits = [
        limit / each
        for limit, each in ((budget.evaluations, 1.0), (budget.epochs, epochs), (budget.macs, macs))
        if limit is not None and each
    ]
    return max(0, round(min(limits)) - done) if limits else None


def mean_epochs(method: Method, baseline: Recipe) -> float:
    """Epochs of an evaluation; for successive halving the mean over rungs, of which each has 1/eta of the one below."""
    if not isinstance(method, SuccessiveHalving):
        return baseline.training.epochs
    rungs = method.fidelities
    weights = [1 / float(method.eta) ** number for number in range(len(rungs))]
    return sum(weight * epochs for weight, epochs in zip(weights, rungs, strict=True)) / sum(weights)


def typical_of(space: TrialSpace, baseline: Recipe) -> Typical:
    """The typical cost of an evaluation.

    Raises:
        RaysweepError: none of the example architectures can be built.
    """
    costs = []
    for number in range(EXAMPLES):
        recipe = replace(example_of(space, baseline, number), training=baseline.training)
        try:
            costs.append((recipe, find_cost(recipe)))
        except RaysweepError as error:  # an impossible combination, which a search counts as a failure
            problem = error
    if not costs:
        raise RaysweepError(f"none of {EXAMPLES} random architectures of {space.name} can be built: {problem}")
    images = baseline.length.iterations * baseline.training.batch_size
    return Typical(
        mean(float(PASSES * cost.macs * images) for _, cost in costs),
        mean(gpu_hours(recipe, cost) for recipe, cost in costs),
        assumption(baseline),
    )
