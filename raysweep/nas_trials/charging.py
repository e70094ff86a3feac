"""Turns the row of a trial in the store into the evaluation that a search receives, always by the same rule.

A search is charged the full cost of a trial even if it was already in the store, so that methods stay comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysweep.cost import PASSES
from raysweep.errors import killed_for_memory
from raysweep.nas.evaluation import FAILED, Evaluated, Evaluation, settled
from raysweep.recipe import Recipe
from raysweep.train.task import DONE

Row = Mapping[str, Any]


def evaluation_of(row: Row, recipe: Recipe) -> Evaluation | None:
    """The evaluation of a trial's row. None if the trial failed for another reason than running out of memory.

    The value is the top-1 accuracy after the last epoch: the best of all epochs would be selected on the same images it
    is measured on.
    """
    charged: dict[str, Any] = {"cost_s": cost_of(row), **_work(row, recipe)}
    if row["status"] in DONE:
        return settled(Evaluation(_value(row), **charged))
    if killed_for_memory(row.get("error") or ""):
        return Evaluation(FAILED, status="out_of_memory", **charged)
    return None


def _value(row: Row) -> float:
    """The top-1 accuracy; minus infinity if the trial diverged."""
    return FAILED if row["status"] == "diverged" or row["top1"] is None else float(row["top1"])


def cost_of(row: Row) -> float:
    """Seconds of training and testing in the finished epochs."""
    return float(row.get("wall_s") or 0.0)


def _work(row: Row, recipe: Recipe) -> dict[str, float]:
    length, done = recipe.length, row.get("epochs") or 0
    images = length.end(done) * length.batch_size if done else 0
    return {"epochs": min(float(done), recipe.training.epochs), "macs": float(PASSES * images * (row.get("macs") or 0))}


def agrees(row: Row | None, one: Evaluated[Any]) -> bool:
    """Whether a trial's row matches the evaluation in a search's log; failed trials may have been retried since."""
    return one.status not in DONE or (row is not None and row["status"] in DONE and _value(row) == one.value)
