"""The image sets that a plan needs: found, generated for the demo, checked, or refused with the next step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import RaysweepError
from raysweep.planning import PlannedTrial, planned_studies
from raysweep.request import GENERATED, Request, default_data
from raysweep.safe import printable

if TYPE_CHECKING:
    from raysweep.data.image_sets import ImageSets
    from raysweep.data.manifest import Manifest


def find_data(request: Request) -> Path:
    """The folder of the images. The demo's images are generated if they do not exist.

    Raises:
        RaysweepError: no folder is given and the protocol's default folder does not exist.
    """
    if request.data_folder is not None:
        return request.data_folder
    folder = request.data or default_data(request.protocol)
    if request.protocol != GENERATED:
        from raysweep.data.manifest import write_command

        raise RaysweepError(
            f"protocol {request.protocol} needs images, and {folder} has none: write them with "
            f"`{write_command(folder)}`, or pass their folder with --data."
        )
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    data = request.baseline().data
    source = GeneratedSource(data.train_images, data.test_images, side=data.short_side)
    write_images(source, folder)
    return folder


def generate_missing(plan: Sequence[PlannedTrial], sets: ImageSets) -> bool:
    """Write the missing sizes of a generated set: the same pictures, resized. Returns whether any were missing.

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


def check_sums(sets: ImageSets, folders: Iterable[Path]) -> list[Manifest]:
    """The manifest of each folder, after comparing every file with its checksum.

    Raises:
        RaysweepError: a file that has changed since it was written.
    """
    from raysweep.data.manifest import verify

    found = {folder: sets.manifest(folder) for folder in dict.fromkeys(folders)}
    for folder, manifest in found.items():
        verify(folder, manifest, full=True)
    return list(found.values())


def refuse_missing(plan: Sequence[PlannedTrial], sets: ImageSets) -> None:
    """Refuse a plan whose images are not all there.

    Raises:
        RaysweepError: lists each missing set, the command that writes it, the variants that need it, and how to run
            the others without it.
    """
    users: dict[str, dict[str, None]] = {}
    for planned in plan:
        if need := sets.need(planned.recipe.data):
            users.setdefault(need, {}).update({f"{m.study}/{m.variant}": None for m in planned.members})
    if not users:
        return
    lines = "\n".join(f"  {need}    # for {printable(', '.join(who))}" for need, who in users.items())
    if len(users) > 1:
        together = sets.need_together(planned.recipe.data for planned in plan)
        lines = f"  {together}\nwhich writes all of them in one pass, or one at a time:\n{lines}"
    raise RaysweepError(
        f"image sets are missing. Write them from the original images:\n{lines}\n{_without(plan, sets)}"
    )


def _without(plan: Sequence[PlannedTrial], sets: ImageSets) -> str:
    """How to run the trials whose images are there."""
    members = {m: not sets.need(planned.recipe.data) for planned in plan for m in planned.members}
    if len(planned_studies(plan)) > 1:
        return "Or leave out the variants that need them: run these studies one at a time, with --variants."
    if not all(there for member, there in members.items() if member.variant == member.baseline):
        return "The study's baseline needs them, so none of its variants can be compared without them."
    others = dict.fromkeys(m.variant for m, there in members.items() if there and m.variant != m.baseline)
    if not others:
        return "All variants of the study need them: leave out the study to go on without them."
    return f"Or leave out the variants that need them: --variants {','.join(others)}"
