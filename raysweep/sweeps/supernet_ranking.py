"""Trains cells that a supernet has scored individually, as a study, and measures how well the two rankings agree."""

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
from raysweep.nas_trials.supernet_task import SupernetTask
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_sweep import run_studies
from raysweep.sweeps.supernet_sweep import PreparedSupernets
from raysweep.terminal.notes import note
from raysweep.train.task import Placement


class UntrainedCellError(RaysweepError):
    """A cell that is to be ranked has no result: its training failed."""


def rank_cells(
    prepared: PreparedSupernets, searches: Sequence[Found], resources: Resources, count: int
) -> tuple[list[tuple[object, ...]], bool]:
    """Train cells individually and compare: rows of method, seed, number of cells, Kendall's tau and Spearman's rho.

    Returns also whether a training failed; the searches that need it are then not in the rows.

    Raises:
        RaysweepError: no evaluation has finished, or the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    cells = cells_of(prepared, searches, count)
    outcome = run_studies(ranking_request(prepared, cells), resources)
    rows: list[tuple[object, ...]] = []
    for task, search in zip(prepared.tasks, searches, strict=True):
        if not search.has_finished:
            continue
        note(f"scoring {count} cells with the supernet of {search.name}")
        try:
            made = rank(prepared, task, search, count, cells)
        except UntrainedCellError as error:
            note(str(error))
            continue
        figures = (f"{made.kendall_tau:.3f}", f"{made.spearman_rho:.3f}")
        rows.append((search.method, search.seed, made.num_pairs, *figures))
    return rows, bool(outcome.failed)


def cells_of(prepared: PreparedSupernets, searches: Sequence[Found], count: int) -> dict[str, Genotype]:
    """`count` cells of each search by key: the best one, then samples drawn with the seed of the search.

    Of equal cells in several searches the first is kept.
    """
    found: dict[str, Genotype] = {}
    for search in searches:
        if search.has_finished:
            own = different(prepared.asked.trial_space().space, [search.history.best.architecture], count, search.seed)
            found |= {key: cell for key, cell in own.items() if key not in found}
    return found


def ranking_request(prepared: PreparedSupernets, cells: Mapping[str, Genotype]) -> Request:
    """The study that trains each cell individually.

    Raises:
        RaysweepError: there are no cells, because no evaluation has finished.
    """
    if not cells:
        raise RaysweepError("nothing to rank: no evaluation has finished yet.")
    space, request = prepared.asked.trial_space(), prepared.asked.training_request(holdout=0.0)
    variants = [Variant(f"cell-{digest(key, size=3)}", space.patch(cell), f"{cell}") for key, cell in cells.items()]
    question = "Does the supernet rank cells as individual trainings do?"
    study = Study(f"{space.study}-ranking", question, "", "", variants[0].name, tuple(variants))
    return replace(request, studies=(study,), seeds=1)


def rank(
    prepared: PreparedSupernets, task: SupernetTask, search: Found, count: int, cells: Mapping[str, Genotype]
) -> Ranking[Genotype]:
    """Score the cells of a search with its supernet, compare with their trainings, and write the ranking to the store.

    Raises:
        UntrainedCellError: the training of a cell failed.
        RaysweepError: the weights of the supernet are missing.
    """
    space = prepared.asked.trial_space()
    baseline = prepared.asked.training_request(holdout=0.0).baseline()

    def trained(architecture: Genotype) -> Evaluation:
        recipe = space.recipe(baseline, cells[space.space.key(architecture)])
        trial = trial_id(recipe)
        evaluation = evaluation_of(prepared.store.trial(trial) or {"status": "failed"}, recipe)
        if evaluation is None:
            raise UntrainedCellError(
                f"cannot rank the cells of {search.name}: trial {trial} failed. Run the same command again to retry it."
            )
        return evaluation

    best = [search.history.best.architecture]
    with closing(task.weights(prepared.store, Placement())) as supernet:
        if not supernet.seconds:
            raise RaysweepError(
                f"the weights of {search.name} are missing from {prepared.store.uri}: delete "
                f"searches/{search.name}.* to repeat the search."
            )
        made = compare(space.space, supernet, trained, seed=search.seed, pairs=count, architectures=best)
        prepared.store.write_ranking(search.name, made.to_table(**supernet.columns))
    return made
