"""Cells that shared weights have scored, each trained by itself too: a study, and how far both orders agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import Genotype
from raysweep.identity import digest, trial_id
from raysweep.nas.evaluation import Evaluation
from raysweep.nas.ranking import Ranking, compare, different
from raysweep.nas_trials.charging import evaluation_of
from raysweep.nas_trials.one_search import Found
from raysweep.nas_trials.supernet_task import SharedSearchTask
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.sweeps.supernet_sweep import PreparedSharing
from raysweep.train.task import Placement


def cells_of(prepared: PreparedSharing, searches: Sequence[Found], count: int) -> dict[str, Genotype]:
    """By key, so many cells of each search: the best one, then samples by the search's seed.

    What equal cells of several searches share is the text of the first.
    """
    found: dict[str, Genotype] = {}
    for search in searches:
        if search.has_finished:
            own = different(prepared.asked.trial_space().space, [search.history.best.architecture], count, search.seed)
            found |= {key: cell for key, cell in own.items() if key not in found}
    return found


def ranking_request(prepared: PreparedSharing, cells: Mapping[str, Genotype]) -> Request:
    """The study that trains each cell alone.

    Raises:
        RaysweepError: no cells, as no search has found anything.
    """
    if not cells:
        raise RaysweepError("no search has found anything, so there are no scores to rank by.")
    space, request = prepared.asked.trial_space(), prepared.asked.training_request(holdout=0.0)
    variants = [Variant(f"cell-{digest(key, size=3)}", space.patch(cell), f"{cell}") for key, cell in cells.items()]
    question = "Do the scores by shared weights rank cells as trainings of each alone do?"
    study = Study(f"{space.study}-ranking", question, "", "", variants[0].name, tuple(variants))
    return replace(request, studies=(study,), seeds=1)


def rank(
    prepared: PreparedSharing, task: SharedSearchTask, search: Found, count: int, cells: Mapping[str, Genotype]
) -> Ranking[Genotype]:
    """Score the search's cells with its weights, beside their trainings alone, and put the ranking into the store.

    Raises:
        RaysweepError: a cell whose training has failed, or weights that are no longer there.
    """
    space = prepared.asked.trial_space()
    baseline = prepared.asked.training_request(holdout=0.0).baseline()

    def alone(architecture: Genotype) -> Evaluation:
        recipe = space.recipe(baseline, cells[space.space.key(architecture)])
        trial = trial_id(recipe)
        evaluation = evaluation_of(prepared.store.trial(trial) or {"status": "failed"}, recipe)
        if evaluation is None:
            raise RaysweepError(f"{trial} has not been trained, so that no order has its cell: run again to continue.")
        return evaluation

    best = [search.history.best.architecture]
    with closing(task.weights(prepared.store, Placement())) as shared:
        if not shared.seconds:
            raise RaysweepError(f"the shared weights of {search.name} are no longer in {prepared.store.uri}.")
        made = compare(space.space, shared, alone, seed=search.seed, pairs=count, architectures=best)
        prepared.store.write_ranking(search.name, made.to_table(**shared.columns))
    return made
