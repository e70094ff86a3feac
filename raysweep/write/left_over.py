"""What an earlier, unfinished call has left, and whether it is what is asked for now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from raysweep.data.manifest import FILE_NAME, read_manifest
from raysweep.errors import RaysweepError
from raysweep.write.encode import checksum
from raysweep.write.forms import Form, Forms
from raysweep.write.sources.base import Samples, Source
from raysweep.write.staging import Left, clear, find_left

Progress = Callable[[int, int], None]
Say = Callable[[str], None]
COMPARED = 32
"""Images of the source that are read again to see whether it is still the same."""
DECODERS = ("pillow", "opencv-python-headless")


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    source: Source
    folder: Path
    forms: Forms
    skip_bad: bool
    overwrite: bool
    workers: int | None
    """None: one per core."""
    progress: Progress
    say: Say

    @property
    def images(self) -> int:
        """Of the source."""
        return sum(map(len, self.source.splits.values()))

    def processes(self, chunk: int) -> int:
        """How many encode: none that would have no `chunk` of images to do."""
        return min(self.workers or len(os.sched_getaffinity(0)), -(-self.images // chunk))


def options(source: Source, forms: Forms) -> dict[str, str]:
    """What two calls must have in common for the second to go on with the first, by what a user calls it."""
    found = {"source": source.spec, "classes": _digest(source.classes)}
    for split, samples in source.splits.items():
        found[f"{split} images"] = f"{len(samples):,}"
        found[f"names and labels of {split} images"] = _content(samples)
    for name, form in forms.items():
        found[name or "the folder itself"] = _words(form)
    return found | {package: metadata.version(package) for package in DECODERS}


def _words(form: Form) -> str:
    side = "as they are" if form.side is None else f"{form.side} px, rescaled {form.rescale}"
    share = f", raw share {form.raw_share}" if form.encoding == "mixed" else ""
    return f"{side}, encoding {form.encoding}, quality {form.quality}{share}"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(texts).encode(errors="surrogateescape"), digest_size=6).hexdigest()


def _content(samples: Samples) -> str:
    content = hashlib.blake2b(np.asarray(samples.labels, np.int64).tobytes(), digest_size=6)
    for index in range(len(samples)):
        content.update(samples.name(index).encode(errors="surrogateescape") + b"\0")
    return content.hexdigest()


def find_matching(request: Request, place: Path) -> Left | None:
    """What an earlier call for the same has left; nothing if there is none, or if it is to be replaced.

    Raises:
        RaysweepError: it is for something else and not to be replaced; says in what it differs.
    """
    try:
        left = find_left(place)
    except RaysweepError as error:
        if not request.overwrite:
            raise RaysweepError(f"{error} Remove {place}, or begin again with --overwrite.") from None
        request.say(f"{error} Beginning again.")
        clear(place)
        return None
    if left is None:
        return None
    if not (differences := _differences(request, left)):
        return left
    what = f"{place} holds {left.count:,} images that were written for something else:\n  " + "\n  ".join(differences)
    if not request.overwrite:
        raise RaysweepError(f"{what}\nGive the command they were written by, or begin again with --overwrite.")
    request.say(f"{what}\nBeginning again.")
    clear(place)
    return None


def _differences(request: Request, left: Left) -> list[str]:
    names = _asked(request, left)
    now, then = options(request.source, {name: request.forms[name] for name in names}), left.job.options
    keys = [key for key in dict.fromkeys([*then, *now]) if then.get(key) != now.get(key)]
    return [f"{key}: {then.get(key, 'not written')} then, {now.get(key, 'not written')} now" for key in keys]


def _asked(request: Request, left: Left) -> Sequence[str]:
    """Which of the forms asked for would be written: those that are there are kept, those just finished were not."""
    if left.manifests is not None:
        return [name for name in request.forms if name in left.job.forms]
    return [name for name in request.forms if request.overwrite or not (request.folder / name / FILE_NAME).exists()]


def missing_forms(request: Request, published: Sequence[str]) -> dict[str, Form]:
    """The forms that are to be written: all but those just finished, and those that are there where several are wanted.

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
            request.say(f"{target} is there already: kept")
        else:
            _check_device(request.folder, target)
            forms[name] = form
    return forms


def _refuse_existing(request: Request, name: str) -> None:
    target = request.folder / name
    if len(request.forms) == 1:
        raise RaysweepError(f"{target} already has an image set: name another folder, or replace it with --overwrite.")
    manifest = read_manifest(target)
    differences = request.forms[name].differences(manifest)
    if manifest.classes != tuple(request.source.classes):
        differences.append(f"other classes than {request.source.spec}")
    count = sum(split.images for split in manifest.splits.values()) + len(manifest.skipped)
    if count != request.images:
        differences.append(f"{count:,} images, not {request.images:,}")
    if differences:
        raise RaysweepError(
            f"{target} already has an image set, with {'; '.join(differences)}: ask for what is there, or replace it "
            "with --overwrite."
        )


def _check_device(folder: Path, target: Path) -> None:
    """A set is moved into its folder by renaming, which no file system does to another."""
    if target.exists() and target.stat().st_dev != folder.stat().st_dev:
        raise RaysweepError(f"{target} is on another disk than {folder}: write that size by itself, into {target}.")


def check_source(request: Request, left: Left) -> bool:
    """Whether the images of the source are those that were written; read are some of them.

    Raises:
        RaysweepError: they are not, and what is left is not to be replaced.
    """
    changed = _changed(request.source.splits, left)
    if not changed:
        return True
    what = f"{changed} is another picture than the one that was written: {request.source.spec} has changed."
    if not request.overwrite:
        raise RaysweepError(f"{what} Begin again with --overwrite.")
    request.say(f"{what} Beginning again.")
    return False


def _changed(splits: Mapping[str, Samples], left: Left) -> str:
    rows = left.some_rows(COMPARED)
    for split, index, source in rows:
        if checksum(splits[split].picture(index)) != source:
            return splits[split].name(index)
    return ""
