"""A request carried out: checks before anything starts, then the trials that are not finished, with Ray or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json, recipe_json
from raysweep.plan import PlannedTrial, to_run
from raysweep.progress import SweepProgress
from raysweep.request import GENERATED, Request, default_data
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.orchestrate.events import Outcome


@dataclass(frozen=True)
class Resources:
    """Where the trials run; changes their speed, never their numbers' meaning."""

    inline: bool = False
    """In this process, one after another, without Ray."""
    address: str | None = None
    workers: int | None = None
    """Trials at once; none: as many as the cluster has room for."""
    workers_per_trial: int = 1
    gpus_per_worker: float | None = None
    """None: one where the cluster has any."""
    threads: int = 1
    max_attempts: int = 2


@dataclass(frozen=True)
class Prepared:
    """A request that has passed every check: its plan and where it reads and writes."""

    plan: list[PlannedTrial]
    data: Path
    store: str
    protocol: str

    def tasks(self, keep_checkpoints: bool = False) -> list[TrialTask]:
        """The trials to train, in order."""
        return [
            TrialTask(planned.trial, planned.recipe, str(self.data), self.store, self.protocol, keep_checkpoints)
            for planned in to_run(self.plan)
        ]


def prepare(request: Request, resources: Resources) -> Prepared:
    """Check everything that can be checked before training and write down what the trials stand for.

    Raises:
        RaysweepError: data, settings, studies or store that do not serve. Nothing has been trained then.
    """
    from raysweep.data.manifest import read_manifest, verify
    from raysweep.results.store import Store
    from raysweep.train.loop import check_trial

    folder = find_data(request)
    plan = request.plan()
    for planned in plan:
        check_trial(planned.recipe, Placement(world_size=resources.workers_per_trial))
    manifest = read_manifest(folder)
    verify(folder, manifest, full=True)
    store = Store.open(request.store or "results", create=True)
    store.write_manifest(manifest)
    for study in dict.fromkeys(member.study for planned in plan for member in planned.members):
        store.write_members(member_rows(plan, study, request.protocol))
    return Prepared(plan, folder.resolve(), store.uri, request.protocol)


def advice(plan: Sequence[PlannedTrial]) -> str:
    """A warning about a choice that this machine makes slow, or nothing."""
    import torch

    low = any(planned.recipe.training.precision == "bfloat16" for planned in to_run(plan))
    if not low or torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return ""
    return "this machine's processor emulates bfloat16, many times slower than float32: use --precision float32."


def find_data(request: Request) -> Path:
    """The folder of images; the demo's are generated where there are none.

    Raises:
        RaysweepError: no folder is named and the protocol's default one is not there.
    """
    if request.data_folder is not None:
        return request.data_folder
    folder = request.data or default_data(request.protocol)
    if request.protocol != GENERATED:
        raise RaysweepError(
            f"protocol {request.protocol} needs images: write them with `raysweep data write SOURCE {folder}`, "
            "or name a folder with --data."
        )
    from raysweep.data.generated import GeneratedSource
    from raysweep.data.write import write_images

    data = request.baseline().data
    source = GeneratedSource(data.train_images, data.test_images, side=data.short_side)
    write_images(source, folder)
    return folder


def member_rows(plan: Sequence[PlannedTrial], study: str, protocol: str) -> list[dict[str, Any]]:
    """What each trial of a study stands for, as the store's member rows."""
    return [
        asdict(member)
        | {"trial": planned.trial, "seed": planned.recipe.seed, "protocol": protocol}
        | {"diff": canonical_json(planned.diff), "recipe": recipe_json(planned.recipe)}
        for planned in plan
        for member in planned.members
        if member.study == study
    ]


def execute(prepared: Prepared, resources: Resources, keep_checkpoints: bool = False) -> Outcome:
    """Train what is not finished, showing progress; a failed trial does not stop the others.

    Raises:
        RaysweepError: resources that are not there.
        KeyboardInterrupt: the user stopped the sweep; every running trial has its last epoch in the store.
    """
    tasks = prepared.tasks(keep_checkpoints)
    with SweepProgress(to_run(prepared.plan), resources.workers or 1) as progress:
        if resources.inline:
            from raysweep.orchestrate.inline import run_inline

            place = Placement(threads=resources.threads)
            return run_inline(tasks, progress.on_event, place=place, max_attempts=resources.max_attempts)
        from raysweep.orchestrate.sweep import run_on_ray

        return run_on_ray(
            tasks,
            progress.on_event,
            address=resources.address,
            workers=resources.workers,
            workers_per_trial=resources.workers_per_trial,
            gpus_per_worker=resources.gpus_per_worker,
            cpus_per_worker=resources.threads,
            max_attempts=resources.max_attempts,
            metadata=metadata(prepared),
        )


def metadata(prepared: Prepared) -> dict[str, str]:
    """What Ray's dashboard shows of the sweep."""
    studies = dict.fromkeys(member.study for planned in prepared.plan for member in planned.members)
    return {"studies": ", ".join(studies), "protocol": prepared.protocol, "store": prepared.store}
