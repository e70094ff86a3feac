"""Whether the unfinished work in a folder, and the sets that are there, are those that a call asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from raysweep.data.manifest import FILE_NAME, Manifest, read_manifest
from raysweep.errors import RaysweepError
from raysweep.write.forms import Form, Forms
from raysweep.write.sources.base import Source
from raysweep.write.staging import Staging, clear

Progress = Callable[[int, int], None]
Say = Callable[[str], None]
DECODERS = ("pillow", "opencv-python-headless")


@dataclass
class Request:
    """The arguments of a call, and its work in progress."""

    source: Source
    folder: Path
    forms: Forms
    skip_bad: bool
    overwrite: bool
    workers: int | None
    """None: one per core."""
    progress: Progress
    say: Say
    staging: Staging | None = None

    @property
    def images(self) -> int:
        """Number of images of the source."""
        return sum(map(len, self.source.splits.values()))


def options(source: Source, forms: Forms) -> dict[str, str]:
    """Everything that two calls must have in common for the second to continue the first, under names for users."""
    found = {"source": source.spec, "classes": _digest(source.classes)}
    for split, samples in source.splits.items():
        images = (f"{label} {samples.name(index)}" for index, label in enumerate(samples.labels.tolist()))
        found[f"{split} images"] = f"{len(samples):,}, names and labels {_digest(images)}"
    for name, form in forms.items():
        found[name or "the folder itself"] = _words(form)
    return found | {package: metadata.version(package) for package in DECODERS}


def _words(form: Form) -> str:
    side = "original size" if form.side is None else f"{form.side} px, rescaled {form.rescale}"
    share = f", raw share {form.raw_share}" if form.encoding == "mixed" else ""
    return f"{side}, encoding {form.encoding}, quality {form.quality}{share}"


def _digest(texts: Iterable[str]) -> str:
    content = hashlib.blake2b(digest_size=6)
    for text in texts:
        content.update(text.encode(errors="surrogateescape") + b"\0")
    return content.hexdigest()


def find_matching(request: Request, place: Path) -> Staging | None:
    """The unfinished work of an earlier call for the same; None if there is no such work or it is to be replaced.

    Raises:
        RaysweepError: it was for something else and is not to be replaced; lists the differences.
    """
    try:
        staging = Staging.find(place)
        if staging is None or not (differences := _differences(request, staging)):
            return staging
        problem = f"{place} holds {staging.count:,} images that were written for another command:\n  "
        problem, advice = problem + "\n  ".join(differences), "Repeat that command"
    except RaysweepError as error:
        problem, advice = str(error), f"Remove {place}"
    if not request.overwrite:
        raise RaysweepError(f"{problem}\n{advice}, or start over with --overwrite.")
    request.say(f"{problem}\nStarting over.")
    clear(place)
    return None


def _differences(request: Request, staging: Staging) -> list[str]:
    names = _expected(request, staging)
    now, then = options(request.source, {name: request.forms[name] for name in names}), staging.job.options
    keys = [key for key in dict.fromkeys([*then, *now]) if then.get(key) != now.get(key)]
    return [f"{key}: {then.get(key, 'not written')} then, {now.get(key, 'not written')} now" for key in keys]


def _expected(request: Request, staging: Staging) -> Sequence[str]:
    """The forms that an earlier call with the same arguments would have begun: those that were not there yet."""
    if staging.is_finished:  # some of them may have been moved to their folders already
        return [name for name in request.forms if name in staging.job.forms]
    return [name for name in request.forms if request.overwrite or not (request.folder / name / FILE_NAME).exists()]


def missing_forms(request: Request, published: Sequence[str]) -> dict[str, Form]:
    """The forms to write: all except those just finished and, if several are asked for, those that are there.

    Raises:
        RaysweepError: a set that is there and not to be replaced.
    """
    forms = {}
    for name, form in request.forms.items():
        target = request.folder / name
        if name in published:
            continue
        if (target / FILE_NAME).exists() and not request.overwrite:
            _refuse_existing(request, name)
            request.say(f"{target} already has this image set: kept")
        else:
            _check_device(request.folder, target)
            forms[name] = form
    return forms


def _refuse_existing(request: Request, name: str) -> None:
    target = request.folder / name
    if len(request.forms) == 1:
        raise RaysweepError(f"{target} already has an image set: use another folder, or replace it with --overwrite.")
    manifest = read_manifest(target)
    differences = request.forms[name].differences(manifest)
    if manifest.classes != tuple(request.source.classes):
        differences.append(f"other classes than {request.source.spec}")
    count = sum(split.images for split in manifest.splits.values()) + len(manifest.skipped)
    if count != request.images:
        differences.append(f"{count:,} images, not {request.images:,}")
    elif not manifest.skipped and _has_other_counts(manifest, request.source):
        differences.append("other numbers of images in its classes")
    if differences:
        raise RaysweepError(
            f"{target} already has an image set, with {'; '.join(differences)}: use the options it was written with, "
            "or replace it with --overwrite."
        )


def _has_other_counts(manifest: Manifest, source: Source) -> bool:
    return any(
        list(manifest.splits[split].class_counts) != np.bincount(samples.labels, minlength=len(source.classes)).tolist()
        for split, samples in source.splits.items()
    )


def _check_device(folder: Path, target: Path) -> None:
    """A set is renamed into its folder, which is impossible between file systems."""
    if target.exists() and target.stat().st_dev != folder.stat().st_dev:
        raise RaysweepError(f"{target} is on another disk than {folder}: write that size separately, into {target}.")
