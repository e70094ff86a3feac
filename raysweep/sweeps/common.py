"""Steps that all kinds of sweeps share: checking data and store, warnings, training, and compaction at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.cost import Cost, find_cost
from raysweep.errors import RaysweepError
from raysweep.patch import diff
from raysweep.planning import Action, Member, PlannedTrial
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.sweeps.needed_images import check_sums, find_data
from raysweep.sweeps.resources import Resources
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import OnEvent, Outcome
    from raysweep.store.store import Store


def open_places(request: Request, example: Callable[[Recipe], Recipe], resources: Resources) -> tuple[Path, Store]:
    """The folder of the images and the store of a sweep that proposes its trials, both checked.

    `example` makes one of its trials out of the baseline; it is checked too.

    Raises:
        RaysweepError: data, settings, store or resources that cannot be used. Nothing has been trained.
    """
    from raysweep.data.image_sets import ImageSets
    from raysweep.store.store import Store
    from raysweep.train.loop import check_trial

    sets = ImageSets(find_data(request))
    baseline = request.baseline()
    folder = sets.folder_of(baseline.data)  # no point of a space needs images of another size
    (manifest,) = check_sums(sets, [folder])
    check_trial(example(baseline), Placement(world_size=resources.workers_per_trial))
    store = Store.open(request.store or "results", create=True)
    store.write_manifest(manifest)
    return folder.resolve(), store


def planned_point(
    trial: str, recipe: Recipe, member: Member, action: tuple[Action, str], protocol: str, done: int = 0
) -> PlannedTrial:
    """A proposed trial as progress shows it. A network that cannot be built has no cost; its training will say why."""
    try:
        cost = find_cost(recipe)
    except RaysweepError:
        cost = Cost(0, 0, 0)
    return PlannedTrial(trial, recipe, (member,), *action, diff(recipe, find_protocol(protocol)), cost, done)


def advice(recipes: Iterable[Recipe]) -> str:
    """A warning about settings that are slow on this machine; empty if there are none."""
    import torch

    low = any(recipe.training.precision == "bfloat16" for recipe in recipes)
    if not low or torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return ""
    return "this processor emulates bfloat16, which is many times slower than float32: use --precision float32."


def carry_out(
    tasks: Iterable[TrialTask | None],
    on_event: OnEvent,
    resources: Resources,
    about: Mapping[str, str],
    on_ray: Callable[[], dict[str, Any]] = dict,
    **both: Any,
) -> Outcome:
    """Train tasks in this process or on Ray, and compact the store afterwards.

    Args:
        tasks: a failed one does not stop the others; None as in `run_inline`. They are read again after a shortage of
            memory.
        on_event: receives every event.
        resources: where to train.
        about: the store, and what else Ray's dashboard shows for the sweep.
        on_ray: returns further arguments of `run_on_ray`; a search among them replaces the tasks. It is called again
            after a shortage of memory.
        both: further arguments of `run_on_ray` and `run_inline`.

    Raises:
        RaysweepError: resources that are not available, or a store that cannot be written.
        KeyboardInterrupt: the user stopped the sweep; the last epoch of every running trial is in the store.
    """
    if resources.inline:
        from raysweep.orchestrate.inline import run_inline

        place = Placement(threads=resources.threads)
        outcome = run_inline(tasks, on_event, place=place, max_attempts=resources.max_attempts, **both)
    else:
        from raysweep.orchestrate.outlasting import outlast_shortages
        from raysweep.orchestrate.ray_sweep import run_on_ray
        from raysweep.store.provenance import described_commit

        def train_the_rest(ended: Collection[str], listen: OnEvent) -> Outcome:
            more = on_ray() | {"metadata": {**about, "commit": described_commit()}}
            left = () if "search" in more else [task for task in tasks if task and task.trial not in ended]
            return run_on_ray(left, listen, **resources.for_ray(), **more, **both)

        outcome = outlast_shortages(train_the_rest, on_event)
    _compact(about["store"], on_event)
    return outcome


def _compact(store: str, on_event: OnEvent) -> None:
    """Compact a store of many small files. A failure to do so is noted and does not change the sweep's outcome."""
    from raysweep.orchestrate.events import Event
    from raysweep.store.compaction import compact_if_many
    from raysweep.store.store import Store

    try:
        if done := compact_if_many(Store.open(store)):
            on_event(Event("note", text=f"compacted {done.deleted:,} small files of the store, {done.left:,} left"))
    except RaysweepError as error:
        on_event(Event("note", text=f"the store was not compacted: {error}"))
