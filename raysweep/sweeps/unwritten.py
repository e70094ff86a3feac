"""Original images that `--data` names: the command that writes them for a request, or the writing itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.data.manifest import FILE_NAME, is_begun, read_manifest, size_text, subfolder_name
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.planning import make_plan, possible
from raysweep.protocols import find_protocol
from raysweep.recipe import DataRecipe
from raysweep.request import GENERATED, Request
from raysweep.safe import command, printable
from raysweep.study import space_names
from raysweep.terminal.notes import note
from raysweep.terminal.progress import counted

if TYPE_CHECKING:
    from raysweep.write.sources.base import Source

TORCHVISION = "torchvision:"


@dataclass(frozen=True)
class Images:
    """An image set that a request needs: where its originals are, where it belongs, and its sizes."""

    originals: Path
    folder: Path
    main: DataRecipe
    """Decides on the size of the folder's own images."""
    also: tuple[str, ...]
    """Further sizes, as `data write --also` takes them."""

    @property
    def command(self) -> str:
        """The command that writes it."""
        rescale = () if self.main.rescale == "auto" else ("--rescale", self.main.rescale)
        also = ("--also", ",".join(self.also)) if self.also else ()
        side = ("--side", self.main.short_side, *rescale, *also)
        return command("raysweep", "data", "write", self.originals, self.folder, *side)

    def is_written(self) -> bool:
        """Whether the folder has the set in its own size.

        Raises:
            RaysweepError: it has other images, or a manifest that cannot be read.
        """
        if not (self.folder / FILE_NAME).is_file():
            return False
        source, name = read_manifest(self.folder).source, printable(str(self.originals))
        if source != name and not source.startswith(f"{name}, "):
            raise RaysweepError(
                f"{self.folder} holds images of {source}. To use them, pass --data {self.folder}; to use those of "
                f"{name}, write them to another folder with `{replace(self, folder=_another(self.folder)).command}`, "
                "and pass that."
            )
        return True

    def missing(self) -> tuple[str, ...]:
        """The further sizes that are not in the folder."""
        rescale = self.main.rescale
        forms = {text: text.partition("-") for text in self.also}
        names = {text: subfolder_name(int(side), method or rescale) for text, (side, _, method) in forms.items()}
        return tuple(text for text in self.also if not (self.folder / names[text] / FILE_NAME).is_file())


def with_images(request: Request) -> Request:
    """The request with an image set in place of originals that `data` names; other requests are returned as they are.

    Raises:
        RaysweepError: the images have not been written, and the request does not ask for it; gives the command. Or they
            cannot be written.
    """
    if request.data is None or not has_originals(request.data) or _is_free(request.data, request.protocol):
        if request.write and (request.data is None or not request.data.exists()):
            found = "--data is missing" if request.data is None else f"{printable(str(request.data))} does not exist"
            raise RaysweepError(f"--write writes the images that --data names, but {found}.")
        return request
    images = needed_images(request)
    if not images.is_written():
        from raysweep.write.sources import open_source

        source = open_source(str(request.data))
        if not request.write:
            raise RaysweepError(_offer(source, images) + _outputs(request, len(source.classes)))
        _write(source, images)
    elif request.write and images.missing():
        from raysweep.write.sources import open_source

        _write(open_source(str(request.data)), images)
    note(f"images: {images.folder}, written from {printable(str(request.data))}; if that changes, write it again")
    return replace(request, data=images.folder)


def image_set(originals: Path, data: DataRecipe) -> Path:
    """The folder of the image set that was written from originals in a size.

    Raises:
        RaysweepError: there is none; gives the command that writes it.
    """
    images = Images(originals, _folder(originals, data), data, ())
    if not images.is_written():
        raise RaysweepError(
            f"{printable(str(originals))} has original images: write them once with `{images.command}`, then pass "
            f"--data {images.folder}."
        )
    return images.folder


def needed_images(request: Request) -> Images:
    """The image set for the originals of a request, with all sizes that its studies need.

    Raises:
        RaysweepError: studies, protocol or settings that cannot be used.
    """
    originals = request.data or Path()
    baseline = patch(find_protocol(request.protocol), request.settings)
    main = baseline.data
    sizes = dict.fromkeys(
        size_text(data.short_side, data.rescale, main.rescale)
        for data in _planned(request)
        if (data.short_side, data.rescale) != (main.short_side, main.rescale)
    )
    return Images(originals, _folder(originals, main), main, tuple(sizes))


def _planned(request: Request) -> Iterable[DataRecipe]:
    """The images of every trial of the studies; a search space has those of its baseline only."""
    studies = tuple(study for study in request.studies if study not in space_names())
    if not studies:
        return []
    baseline = patch(find_protocol(request.protocol), request.settings)
    plan = make_plan(replace(request, studies=studies).find_studies(), baseline, range(1))
    return [planned.recipe.data for planned in possible(plan)]


def has_originals(path: Path) -> bool:
    """Whether a path has original images, or is the name of a torchvision set: anything that exists and is no set."""
    return str(path).startswith(TORCHVISION) or (path.exists() and not is_begun(path))


def _is_free(path: Path, protocol: str) -> bool:
    """Whether a path is an empty folder into which the images of the demo are generated."""
    return protocol == GENERATED and path.is_dir() and not any(path.iterdir())


def _folder(originals: Path, data: DataRecipe) -> Path:
    """Where the image set of originals belongs."""
    text = str(originals)
    name = text.removeprefix(TORCHVISION).lower() if text.startswith(TORCHVISION) else originals.resolve().stem
    return Path("data") / f"{name}-{size_text(data.short_side, data.rescale, 'auto')}"


def _another(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-other")


def _offer(source: Source, images: Images) -> str:
    from raysweep.write.sources.base import check_labels

    check_labels(source)
    counts = " and ".join(f"{len(samples):,} {split}" for split, samples in source.splits.items())
    notes = "".join(f"\n  {text}" for text in source.notes)
    return (
        f"{printable(str(images.originals))} has original images ({counts} images of {len(source.classes)} classes), "
        f"which must be written once before they can be trained on:{notes}\n  {images.command}\n"
        f"Run this, then pass `{command('--data', images.folder)}`. Or add --write to this command, which does both."
    )


def _outputs(request: Request, classes: int) -> str:
    """A hint if the network has another number of outputs than there are classes; empty if not."""
    outputs = patch(find_protocol(request.protocol), request.settings).network.outputs
    return "" if outputs == classes else f" The network has {outputs:,} outputs: add --classes {classes}."


def _write(source: Source, images: Images) -> None:
    from raysweep.write.write_sets import write_sets

    try:
        with counted(f"writing {images.folder}") as progress:
            write_sets(
                source,
                images.folder,
                side=images.main.short_side,
                rescale=images.main.rescale,
                also=images.also,
                progress=progress,
                say=note,
            )
    except RaysweepError as error:
        raise RaysweepError(
            f"{error}\nOptions such as --skip-bad go to the command itself: `{images.command}`."
        ) from None
