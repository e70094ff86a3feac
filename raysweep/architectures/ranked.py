"""Cells that shared weights have scored, each trained by itself too: a study, and how far both orders agree."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from raysweep.architectures.evaluating import evaluation_of
from raysweep.architectures.search import Found
from raysweep.architectures.shared_task import SharedSearchTask
from raysweep.architectures.sharing import PreparedSharing
from raysweep.errors import RaysweepError
from raysweep.identity import trial_id
from raysweep.nas.evaluation import Evaluation
from raysweep.nas.ranking import Ranking, compare, different
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.train.task import Placement


def ranking_request(prepared: PreparedSharing, searches: Sequence[Found], cells: int) -> Request:
    """The study that trains so many cells of each search alone: the best one, then samples by the search's seed.

    Raises:
        RaysweepError: no search has found anything.
    """
    space, request = prepared.asked.trial_space(), prepared.asked.training_request(holdout=0.0)
    variants = [
        Variant(f"{search.stem}-cell{number:02}", space.patch(cell), f"{cell}")
        for search in searches
        if search.has_finished
        for number, cell in enumerate(chosen(prepared, search, cells).values())
    ]
    if not variants:
        raise RaysweepError("no search has found anything, so there are no scores to rank by.")
    question = "Do the scores by shared weights rank cells as trainings of each alone do?"
    study = Study(f"{space.study}-ranking", question, "", "", variants[0].name, tuple(variants))
    return replace(request, studies=(study,), seeds=1)


def chosen(prepared: PreparedSharing, search: Found, cells: int) -> dict[str, Any]:
    """By key: the best of the search first."""
    return different(prepared.asked.trial_space().space, [search.history.best.architecture], cells, search.seed)


def rank(prepared: PreparedSharing, task: SharedSearchTask, search: Found, cells: int) -> Ranking[Any]:
    """Score the cells with the search's weights, beside their trainings alone, and put the ranking into the store.

    Raises:
        RaysweepError: a cell whose training has failed, or weights that are no longer there.
    """
    space = prepared.asked.trial_space()
    baseline = prepared.asked.training_request(holdout=0.0).baseline()

    def alone(architecture: object) -> Evaluation:
        recipe = space.recipe(baseline, architecture)
        trial = trial_id(recipe)
        evaluation = evaluation_of(prepared.store.trial(trial) or {"status": "failed"}, recipe)
        if evaluation is None:
            raise RaysweepError(f"{trial} has not been trained, so that no order has its cell: run again to continue.")
        return evaluation

    best = [search.history.best.architecture]
    with closing(task.weights(prepared.store, Placement())) as shared:
        if not shared.seconds:
            raise RaysweepError(f"the shared weights of {search.name} are no longer in {prepared.store.uri}.")
        made = compare(space.space, shared, alone, seed=search.seed, pairs=cells, architectures=best)
        prepared.store.write_ranking(search.name, made.to_table(**shared.columns))
    return made
