"""The sweep of a request for studies: check it, record what its trials stand for, train what is not finished."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.pace import recalled
from raysweep.planning import PlannedTrial, planned_studies, possible, to_run
from raysweep.request import Request
from raysweep.sweeps.changed_code import changed_code
from raysweep.sweeps.common import advice, carry_out
from raysweep.sweeps.needed_images import check_sums, find_data, generate_missing, refuse_missing
from raysweep.sweeps.resources import Resources
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.data.manifest import Manifest
    from raysweep.orchestrate.events import Outcome


@dataclass(frozen=True)
class Checked:
    """A request that has passed every check."""

    plan: list[PlannedTrial]
    omitted: list[PlannedTrial]
    """Trials that are left out because the requested network does not use what they change."""
    folders: Mapping[str, Path]
    """Trial -> folder of its images."""
    manifests: list[Manifest]


@dataclass(frozen=True)
class Prepared(Checked):
    """A checked request that is recorded in its store."""

    store: str
    protocol: str
    trunks: str = ""
    """The store of the trained networks that trials start from."""

    def tasks(self, keep_checkpoints: bool = False, deterministic: bool = False) -> list[TrialTask]:
        """The trials to train, in order."""
        return [
            TrialTask(
                trial=planned.trial,
                recipe=planned.recipe,
                data=str(self.folders[planned.trial]),
                store=self.store,
                protocol=self.protocol,
                keep_checkpoint=keep_checkpoints,
                trunks=self.trunks,
                deterministic=deterministic,
                study=planned.members[0].study,
                variant=planned.members[0].variant,
            )
            for planned in to_run(self.plan)
        ]


def run_studies(request: Request, resources: Resources, keep_checkpoints: bool = False) -> Outcome:
    """Train every trial of a request that is not finished, reporting progress on standard error.

    Raises:
        RaysweepError: the request cannot be carried out. Nothing has been trained.
        KeyboardInterrupt: the user stopped the sweep; the same request continues it.
    """
    prepared = prepare(request, resources)
    if changed := changed_code(prepared.plan, prepared.store):
        note(changed)
    finished = sum(planned.action == "skip" for planned in prepared.plan)
    note(f"{len(prepared.plan)} trials, {finished} of them finished earlier; results in {prepared.store}")
    for planned in prepared.omitted:
        note(left_out(planned))
    if text := time_here(request, resources, to_run(prepared.plan)):
        note(text)
    warn(advice(planned.recipe for planned in to_run(prepared.plan)))
    return execute(prepared, resources, keep_checkpoints)


def time_here(request: Request, resources: Resources, plan: Sequence[PlannedTrial]) -> str:
    """How long the trials take on this machine; empty if its pace has not been measured, or they run elsewhere."""
    pace = recalled(request.baseline(), resources.threads)
    if not pace or not plan or resources.address or os.environ.get("RAY_ADDRESS"):
        return ""
    most = 1 if resources.inline else resources.workers or pace.workers
    return replace(pace, workers=min(pace.workers, most)).sentence(plan)


def left_out(planned: PlannedTrial) -> str:
    """The message about a trial that is left out."""
    member = planned.members[0]
    return f"left out {member.study}/{member.variant}: {planned.reason}"


def prepare(request: Request, resources: Resources) -> Prepared:
    """Check everything that can be checked before training, and record what each trial stands for.

    Raises:
        RaysweepError: data, settings, studies or store that cannot be used. Nothing has been trained.
    """
    from raysweep.store.store import Store

    checked = check(request, resources)
    import raysweep.data.loops  # noqa: F401 - compiles them before the first trial needs them

    store = Store.open(request.store or "results", create=True)
    for manifest in checked.manifests:
        store.write_manifest(manifest)
    for study in planned_studies(checked.plan):
        store.write_members(member_rows(checked.plan, study, request.protocol))
    trunks = Store.open(request.trunks).uri if request.trunks else ""
    return Prepared(**vars(checked), store=store.uri, protocol=request.protocol, trunks=trunks)


def check(request: Request, resources: Resources) -> Checked:
    """Check everything that can be checked before training; generates the images of the demo.

    Raises:
        RaysweepError: data, settings or studies that cannot be used.
    """
    from raysweep.data.image_sets import ImageSets
    from raysweep.train.loop import check_trial

    sets = ImageSets(find_data(request))
    whole = request.plan()
    if sets.are_generated and generate_missing(possible(whole), sets):
        whole = request.plan()
    plan, omitted = possible(whole), [planned for planned in whole if planned.action == "omit"]
    for planned in plan:
        check_trial(planned.recipe, Placement(world_size=resources.workers_per_trial))
    refuse_missing(plan, sets)
    folders = {planned.trial: sets.folder_of(planned.recipe.data) for planned in plan}
    manifests = check_sums(sets, folders.values())
    return Checked(plan, omitted, {trial: folder.resolve() for trial, folder in folders.items()}, manifests)


def member_rows(plan: Sequence[PlannedTrial], study: str, protocol: str) -> list[dict[str, Any]]:
    """The store's member rows of a study: the variant and settings that each trial stands for."""
    return [
        member.row(planned.trial, planned.recipe, planned.diff, protocol)
        for planned in plan
        for member in planned.members
        if member.study == study
    ]


def execute(prepared: Prepared, resources: Resources, keep_checkpoints: bool = False) -> Outcome:
    """Train what is not finished, showing progress. A failed trial does not stop the others.

    Raises:
        RaysweepError: resources that are not available.
        KeyboardInterrupt: the user stopped the sweep; the last epoch of every running trial is in the store.
    """
    tasks = prepared.tasks(keep_checkpoints, resources.deterministic)
    about = {
        "studies": ", ".join(planned_studies(prepared.plan)),
        "protocol": prepared.protocol,
        "store": prepared.store,
        "trials": f"{len(tasks)} of {len(prepared.plan)}",
    }
    with SweepProgress(to_run(prepared.plan)) as progress:
        return carry_out(tasks, progress.on_event, resources, about)
