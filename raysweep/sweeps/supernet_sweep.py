"""Searches whose architectures share weights, carried out side by side, with Ray or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import Genotype
from raysweep.identity import line_id
from raysweep.nas.evaluation import FAILED, Evaluated
from raysweep.nas.history import History
from raysweep.nas_trials.nas_request import NamedSearch, NasRequest
from raysweep.nas_trials.one_search import Found
from raysweep.nas_trials.supernet_task import SharedSearchTask, train_shared, write_failure
from raysweep.nas_trials.trial_spaces import TrialSpace
from raysweep.patch import patch
from raysweep.planning import Member, PlannedTrial
from raysweep.recipe import Recipe
from raysweep.space import BASELINE
from raysweep.sweeps.common import described, open_places, planned_point
from raysweep.sweeps.nas_sweep import example_of
from raysweep.sweeps.resources import Resources
from raysweep.terminal.progress import SweepProgress
from raysweep.train.supernet_recipe import SharedRecipe
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome
    from raysweep.store.store import Store

CELLS_WIDTH = 36
"""Of the first cells of `enas_cells`."""


@dataclass(frozen=True)
class PreparedSharing:
    """Searches that have passed every check."""

    asked: NasRequest
    tasks: Sequence[SharedSearchTask]
    store: Store
    left: Sequence[SharedSearchTask]
    """What had not ended by then."""

    def found(self) -> list[Found]:
        """What the store has of them now."""
        return found_in(self.store, self.tasks)


def check_sharing(asked: NasRequest, resources: Resources) -> None:
    """Refuse what cannot be, as far as it can be told without images.

    Raises:
        RaysweepError: methods, options, space, settings or resources that do not serve.
    """
    if resources.workers_per_trial > 1:
        raise RaysweepError(
            f"--workers-per-trial {resources.workers_per_trial}: weights that are shared are trained by 1 worker."
        )
    asked.named(asked.training_request().baseline())


def prepare_sharing(asked: NasRequest, resources: Resources) -> PreparedSharing:
    """Check everything that can be checked before training, and see which searches the store has to their ends.

    Raises:
        RaysweepError: methods, options, space, data, settings, store or resources that do not serve. Nothing has been
            trained then.
    """
    check_sharing(asked, resources)
    space, request = asked.trial_space(), asked.training_request()
    data, store = open_places(request, lambda baseline: example_of(space, baseline), resources)
    baseline = request.baseline()
    template = TrialTask("", baseline, str(data), store.uri, request.protocol, deterministic=resources.deterministic)
    tasks = [task_of(asked, baseline, template, one) for one in asked.named(baseline)]
    known = zip(tasks, found_in(store, tasks), strict=True)
    return PreparedSharing(asked, tasks, store, [task for task, found in known if not is_over(task, found.history)])


def task_of(asked: NasRequest, baseline: Recipe, template: TrialTask, one: NamedSearch) -> SharedSearchTask:
    """A search of a request as what a worker carries out; places are those of the template.

    Raises:
        RaysweepError: an option that does not serve, or a recipe that does not.
    """
    method: Any = one.method
    space, shared = asked.trial_space(), asked.shared_recipe(baseline, method, one.seed)
    variant, _, _ = one.label.partition("+")
    own = {"trial": one.name, "recipe": twin(space, shared), "study": space.study, "variant": variant}
    return SharedSearchTask(
        **vars(template) | own,
        space=space.name,
        method=method,
        label=one.label,
        budget=asked.budget_of(method),
        shared=shared,
        line=line_id(baseline),
    )


def twin(space: TrialSpace, shared: SharedRecipe) -> Recipe:
    """A trial of about the cost of training shared weights: what ETA and the room on a device are reckoned by."""
    recipe = shared.recipe
    size = {
        "network.width": recipe.network.width * shared.width / CELLS_WIDTH,
        "network.cell_repeats": max(1, (shared.cells - 2) // 3),
    }
    return patch(example_of(space, recipe), size)


def found_in(store: Store, tasks: Sequence[SharedSearchTask]) -> list[Found]:
    """What the evaluations in a store say: the logs, from which all follows, take their time to be replayed."""
    rows: dict[str, list[Evaluated[Genotype]]] = {task.trial: [] for task in tasks}
    names = [one.name for one in fields(Evaluated)]
    for row in store.evaluations().to_pylist():
        if row["search"] in rows:
            value, cell = FAILED if row["value"] is None else row["value"], Genotype.parse(row["architecture"])
            own = {name: row[name] for name in names if name in row} | {"value": value, "architecture": cell}
            rows[row["search"]].append(Evaluated(**own))
    return [task.found(rows[task.trial]) for task in tasks]


def is_over(task: SharedSearchTask, history: History[Genotype]) -> bool:
    """Whether nothing more would be proposed."""
    ended = len(history.evaluations) >= task.method.evaluations_of(history.evaluations)
    return ended or not task.budget.allows(history.spent, 0)


def execute_sharing(prepared: PreparedSharing, resources: Resources) -> Outcome:
    """Carry the searches out that have not ended, showing progress; one that fails does not stop the others.

    Raises:
        RaysweepError: resources that are not there, or a store that cannot be written.
        KeyboardInterrupt: the user stopped the searches; all have their last epoch in the store.
    """
    protocol = prepared.asked.request.protocol
    planned = [_planned(task) for task in prepared.left]
    with SweepProgress(planned, resources.workers or 1) as progress:
        if resources.inline:
            from raysweep.orchestrate.inline import run_inline

            return run_inline(
                prepared.left,
                progress.on_event,
                train=train_shared,
                record_end=write_failure,
                place=Placement(threads=resources.threads),
                max_attempts=resources.max_attempts,
            )
        from raysweep.orchestrate.ray_sweep import run_on_ray

        names = ", ".join(dict.fromkeys(task.variant for task in prepared.tasks))
        study = prepared.asked.trial_space().study
        return run_on_ray(
            prepared.left,
            progress.on_event,
            **resources.for_ray(),
            train=train_shared,
            record_end=write_failure,
            metadata=described(study, protocol, prepared.store.uri, search=names),
        )


def _planned(task: SharedSearchTask) -> PlannedTrial:
    member = Member(task.study, task.variant, "shared weights", 0, BASELINE, task.line)
    return planned_point(task.trial, task.recipe, member, ("run", "a search"), task.protocol)
