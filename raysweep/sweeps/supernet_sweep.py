"""Carries out searches with supernets side by side, with Ray or without."""

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
from raysweep.nas_trials.supernet_task import SupernetTask, train_supernet, twin, write_failure
from raysweep.nas_trials.trial_spaces import example_of
from raysweep.planning import Member, PlannedTrial
from raysweep.recipe import Recipe
from raysweep.space import BASELINE
from raysweep.sweeps.common import carry_out, open_places, planned_point
from raysweep.sweeps.resources import Resources
from raysweep.terminal.notes import note
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome
    from raysweep.store.store import Store


@dataclass(frozen=True)
class PreparedSupernets:
    """Searches that have passed all checks."""

    asked: NasRequest
    tasks: Sequence[SupernetTask]
    store: Store
    left: Sequence[SupernetTask]
    """The searches that had not ended when they were prepared."""

    def found(self) -> list[Found]:
        """Their present results in the store."""
        return found_in(self.store, self.tasks)


def check_supernets(asked: NasRequest, resources: Resources) -> None:
    """Check everything that can be checked without images.

    Raises:
        RaysweepError: invalid methods, options, space, settings or resources.
    """
    if resources.workers_per_trial > 1:
        raise RaysweepError(
            f"--workers-per-trial is {resources.workers_per_trial}: a supernet is trained by 1 worker. Use 1."
        )
    asked.named(asked.training_request().baseline())


def run_supernets(asked: NasRequest, resources: Resources) -> tuple[PreparedSupernets, Outcome]:
    """Run searches with supernets to their ends.

    Raises:
        RaysweepError: the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    prepared = prepare_supernets(asked, resources)
    ended = len(prepared.tasks) - len(prepared.left)
    note(
        f"{len(prepared.tasks)} searches with a supernet, {ended} of them finished earlier; results in "
        f"{prepared.store.uri}"
    )
    return prepared, execute_supernets(prepared, resources)


def prepare_supernets(asked: NasRequest, resources: Resources) -> PreparedSupernets:
    """Check everything that can be checked before training, and find the searches that have ended in the store.

    Raises:
        RaysweepError: invalid methods, options, space, data, settings, store or resources. Nothing has been trained.
    """
    check_supernets(asked, resources)
    space, request = asked.trial_space(), asked.training_request()
    data, store = open_places(request, lambda baseline: example_of(space, baseline), resources)
    baseline = request.baseline()
    template = TrialTask("", baseline, str(data), store.uri, request.protocol, deterministic=resources.deterministic)
    tasks = [_task(asked, baseline, template, one) for one in asked.named(baseline)]
    known = zip(tasks, found_in(store, tasks), strict=True)
    return PreparedSupernets(asked, tasks, store, [task for task, found in known if not _is_over(task, found.history)])


def _task(asked: NasRequest, baseline: Recipe, template: TrialTask, one: NamedSearch) -> SupernetTask:
    """The task of one search of a request; the template has the data and the store."""
    method: Any = one.method
    space, supernet = asked.trial_space(), asked.supernet_recipe(baseline, method, one.seed)
    variant, _, _ = one.label.partition("+")
    own = {"trial": one.name, "recipe": twin(space, supernet), "study": space.study, "variant": variant}
    return SupernetTask(
        **vars(template) | own,
        space=space.name,
        method=method,
        label=one.label,
        budget=asked.budget_of(method),
        supernet=supernet,
        line=line_id(baseline),
    )


def found_in(store: Store, tasks: Sequence[SupernetTask]) -> list[Found]:
    """The results of searches, from the evaluations in the store: replaying their logs would take too long."""
    rows: dict[str, list[Evaluated[Genotype]]] = {task.trial: [] for task in tasks}
    names = [one.name for one in fields(Evaluated)]
    for row in store.evaluations().to_pylist():
        if row["search"] in rows:
            value, cell = FAILED if row["value"] is None else row["value"], Genotype.parse(row["architecture"])
            own = {name: row[name] for name in names if name in row} | {"value": value, "architecture": cell}
            rows[row["search"]].append(Evaluated(**own))
    return [task.found(rows[task.trial]) for task in tasks]


def _is_over(task: SupernetTask, history: History[Genotype]) -> bool:
    """Whether the search would propose nothing more."""
    ended = len(history.evaluations) >= task.method.evaluations_of(history.evaluations)
    return ended or not task.budget.allows(history.spent, 0)


def execute_supernets(prepared: PreparedSupernets, resources: Resources) -> Outcome:
    """Carry out the searches that have not ended, showing progress; one that fails does not stop the others.

    Raises:
        RaysweepError: missing resources, or a store that cannot be written.
        KeyboardInterrupt: stopped by the user; the last epoch of every search is in the store.
    """
    asked = prepared.asked
    about = {"studies": asked.trial_space().study, "protocol": asked.request.protocol, "store": prepared.store.uri}
    about["search"] = ", ".join(dict.fromkeys(task.variant for task in prepared.tasks))
    with SweepProgress([_planned(task) for task in prepared.left]) as progress:
        return carry_out(
            prepared.left, progress.on_event, resources, about, train=train_supernet, record_end=write_failure
        )


def _planned(task: SupernetTask) -> PlannedTrial:
    member = Member(task.study, task.variant, "supernet", 0, BASELINE, task.line)
    return planned_point(task.trial, task.recipe, member, ("run", "a search"), task.protocol)
