"""A request carried out: checks before anything starts, then the trials that are not finished, with Ray or without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.planning import PlannedTrial, planned_studies, possible, to_run
from raysweep.recipe import Recipe
from raysweep.request import GENERATED, Request, default_data
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.data.image_sets import ImageSets
    from raysweep.data.manifest import Manifest
    from raysweep.orchestrate.events import OnEvent, Outcome


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
    share_images: bool = True
    """Trials on the same node share decoded images."""
    deterministic: bool = False
    """Only algorithms that give the same bits each time."""
    log_to: tuple[str, ...] = ()
    """Tools that hear of every epoch besides the store, as `tensorboard:FOLDER`."""

    def for_ray(self) -> dict[str, Any]:
        """As `run_on_ray` takes them."""
        return {
            "address": self.address,
            "workers": self.workers,
            "workers_per_trial": self.workers_per_trial,
            "gpus_per_worker": self.gpus_per_worker,
            "cpus_per_worker": self.threads,
            "max_attempts": self.max_attempts,
            "share_images": self.share_images,
            "log_to": self.log_to,
        }


def check_logging(resources: Resources) -> None:
    """Refuse tools to log to that are not there, before anything else is done.

    Raises:
        RaysweepError: names the tool and how to get it.
    """
    from raysweep.orchestrate.loggers import parse_place

    for text in resources.log_to:
        if resources.inline:
            raise RaysweepError(f"--log-to {text} is Ray Tune's, which --inline goes without: leave out one of them.")
        parse_place(text)


@dataclass(frozen=True)
class Checked:
    """A request that has passed every check."""

    plan: list[PlannedTrial]
    omitted: list[PlannedTrial]
    """What means nothing in the network that was asked for, and is not in the plan."""
    folders: Mapping[str, Path]
    """Trial -> folder of its images."""
    manifests: list[Manifest]


@dataclass(frozen=True)
class Prepared(Checked):
    """A request that is written down in the store it writes to."""

    store: str
    protocol: str
    trunks: str = ""
    """Store of the trained networks that trials start from."""

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


def prepare(request: Request, resources: Resources) -> Prepared:
    """Check everything that can be checked before training and write down what the trials stand for.

    Raises:
        RaysweepError: data, settings, studies or store that do not serve. Nothing has been trained then.
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
    """Check everything that can be checked before training; the demo's images are generated.

    Raises:
        RaysweepError: data, settings or studies that do not serve.
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


def check_sums(sets: ImageSets, folders: Iterable[Path]) -> list[Manifest]:
    """The manifests of the folders, once each, after a comparison of all files with their checksums.

    Raises:
        RaysweepError: a file that is not the one that was written.
    """
    from raysweep.data.manifest import verify

    found = {folder: sets.manifest(folder) for folder in dict.fromkeys(folders)}
    for folder, manifest in found.items():
        verify(folder, manifest, full=True)
    return list(found.values())


def refuse_missing(plan: Sequence[PlannedTrial], sets: ImageSets) -> None:
    """Refuse a plan with trials whose images have not been written.

    Raises:
        RaysweepError: for every set that is missing who needs it and how it is written, and how to do without.
    """
    users: dict[str, dict[str, None]] = {}
    for planned in plan:
        if need := sets.need(planned.recipe.data):
            users.setdefault(need, {}).update({f"{m.study}/{m.variant}": None for m in planned.members})
    if users:
        lines = "\n".join(f"  {need}    # for {', '.join(who)}" for need, who in users.items())
        if len(users) > 1:
            together = sets.need_together(planned.recipe.data for planned in plan)
            lines = f"  {together}\nwhich is one pass for all of them, or one by one:\n{lines}"
        raise RaysweepError(
            f"image sets are missing; write them from the original images:\n{lines}\n{_without(plan, sets)}"
        )


def _without(plan: Sequence[PlannedTrial], sets: ImageSets) -> str:
    """How to leave out what needs missing images."""
    members = {m: not sets.need(planned.recipe.data) for planned in plan for m in planned.members}
    if len(planned_studies(plan)) > 1:
        return "Or leave their variants out: run these studies one at a time, with --variants the others of each."
    if not all(there for member, there in members.items() if member.variant == member.baseline):
        return "The baseline of the study is among them, so nothing of it can be compared without."
    others = dict.fromkeys(m.variant for m, there in members.items() if there and m.variant != m.baseline)
    if not others:
        return "All variants of the study need them: without, leave the study out."
    return f"Or leave those variants out: --variants {','.join(others)}"


def advice(recipes: Iterable[Recipe]) -> str:
    """A warning about a choice that this machine makes slow, or nothing."""
    import torch

    low = any(recipe.training.precision == "bfloat16" for recipe in recipes)
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
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    data = request.baseline().data
    source = GeneratedSource(data.train_images, data.test_images, side=data.short_side)
    write_images(source, folder)
    return folder


def generate_missing(plan: Sequence[PlannedTrial], sets: ImageSets) -> bool:
    """Write the missing sets of a generated one: the same pictures, resized. Returns whether there were any.

    Raises:
        RaysweepError: a folder that cannot be written.
    """
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    missing = {sets.folder_of(data): data for planned in plan if sets.need(data := planned.recipe.data)}
    main = sets.manifest(sets.folder)
    source = GeneratedSource(main.splits["train"].images, main.splits["test"].images, side=main.short_side)
    for folder, data in missing.items():
        write_images(source, folder, side=data.short_side, rescale=data.rescale)
    return bool(missing)


def member_rows(plan: Sequence[PlannedTrial], study: str, protocol: str) -> list[dict[str, Any]]:
    """What each trial of a study stands for, as the store's member rows."""
    return [
        member.row(planned.trial, planned.recipe, planned.diff, protocol)
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
    tasks = prepared.tasks(keep_checkpoints, resources.deterministic)
    with SweepProgress(to_run(prepared.plan), resources.workers or 1) as progress:
        if resources.inline:
            from raysweep.orchestrate.inline import run_inline

            place = Placement(threads=resources.threads)
            outcome = run_inline(tasks, progress.on_event, place=place, max_attempts=resources.max_attempts)
        else:
            from raysweep.orchestrate.ray_sweep import run_on_ray

            outcome = run_on_ray(tasks, progress.on_event, **resources.for_ray(), metadata=metadata(prepared))
        compact_after(prepared.store, progress.on_event)
        return outcome


def compact_after(store: str, on_event: OnEvent) -> None:
    """Compact a store of many small files; where that cannot be done, the sweep's outcome stands all the same."""
    from raysweep.orchestrate.events import Event
    from raysweep.store.compaction import compact_if_many
    from raysweep.store.store import Store

    try:
        if done := compact_if_many(Store.open(store)):
            on_event(Event("note", text=f"{done.deleted:,} small files of the store compacted, {done.left:,} left"))
    except RaysweepError as error:
        on_event(Event("note", text=f"not compacted: {error}"))


def metadata(prepared: Prepared) -> dict[str, str]:
    """What Ray's dashboard shows of the sweep."""
    trials = f"{len(to_run(prepared.plan))} of {len(prepared.plan)}"
    return described(", ".join(planned_studies(prepared.plan)), prepared.protocol, prepared.store, trials=trials)


def described(studies: str, protocol: str, store: str, **more: str) -> dict[str, str]:
    """What Ray's dashboard shows of any sweep: these words, what else there is to say, and the commit."""
    from raysweep.store.provenance import described_commit

    return {"studies": studies, "protocol": protocol, "store": store, **more, "commit": described_commit()}
