"""Writes the images of a source to folders of FFCV files with manifests, in several sizes in one pass.

A set appears in its folder when it is complete. Until then its images are in the folder's `.writing`, from which the
same command continues after any interruption: see `staging.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysweep.data.manifest import Manifest, read_manifest
from raysweep.errors import RaysweepError
from raysweep.process.machine import usable_cores
from raysweep.write.encode import Task
from raysweep.write.estimate import SHARD_BYTES, decided, measure
from raysweep.write.forms import Form, Forms, make_forms
from raysweep.write.publishing import finish, publish, refuse_bad
from raysweep.write.resuming import Progress, Request, Say, find_matching, missing_forms, options
from raysweep.write.sources.base import Source, check_labels, check_nothing_passed_over, warnings
from raysweep.write.staging import Job, Staging, staging_folder
from raysweep.write.workers import Workers

SHARD_IMAGES = 200
"""Largest number of images that are encoded by a worker at a time; a kill loses what its workers have not finished."""
FETCHED_BYTES = 64 << 20
"""Largest size of the encoded originals that are sent to a worker at a time, about."""


def write_images(source: Source, folder: Path, **options: Any) -> Manifest:
    """Like `write_sets`, but returns only the manifest of the folder itself."""
    return write_sets(source, folder, **options)[Path(folder)]


def write_sets(
    source: Source,
    folder: Path,
    *,
    side: int | None = None,
    also: Sequence[str] = (),
    rescale: str = "auto",
    encoding: str = "auto",
    quality: int = 90,
    raw_share: float = 0.5,
    skip_bad: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> dict[Path, Manifest]:
    """Write train.beton, test.beton and, last, manifest.json into `folder`, and into a subfolder for every other size.

    After a kill or an interrupt, the same call continues, with the same bytes in the end.

    Args:
        source: the images and their labels; see `open_source`.
        folder: created if it is missing.
        side: short side to store, px; the aspect ratio stays. None keeps the original sizes.
        also: further sizes, such as `80` or `144-nearest`, for subfolders; existing sets of this source are then kept.
        rescale: how images are resized: auto (area to shrink, cubic to enlarge), or one of RESCALES.
        encoding: raw (uncompressed pixels), jpg, mixed, or auto: raw if that takes less than a GiB, else jpg.
        quality: JPEG quality, 1 to 100.
        raw_share: with mixed, the share of images stored as pixels, chosen by a hash of the image's number.
        skip_bad: list images that cannot be decoded in the manifest, instead of an error when all others are encoded.
        strict: refuse a source that has anything besides its images, which are otherwise counted in the manifest.
        overwrite: replace existing sets, and discard unfinished work that was started with other options.
        workers: number of processes; None starts one per core.
        progress, say: called with the number of images done and the total, and with messages for the user.

    Raises:
        RaysweepError: the images, labels, folder or disk cannot be used. Existing sets are unchanged.
    """
    folder = Path(folder)
    forms = make_forms(Form(side, rescale, encoding, quality, raw_share), also)
    request = Request(source, folder, forms, skip_bad, overwrite, workers, progress or _ignore, say or _ignore)
    _check(request)
    if strict:
        _check_strictly(request)
    for sentence in (*source.notes, *(f"warning: {text}" for text in warnings(source))):
        request.say(sentence)
    with _explained(request), staging_folder(folder) as place:
        _write(request, place)
    return {folder / name: read_manifest(folder / name) for name in forms}


def _check_strictly(request: Request) -> None:
    if request.skip_bad:
        raise RaysweepError("strict refuses what skip_bad passes over: use one of --strict and --skip-bad.")
    check_nothing_passed_over(request.source)


def _ignore(*_: object) -> None:
    """Do nothing."""


def _check(request: Request) -> None:
    if request.workers is not None and request.workers < 1:
        raise RaysweepError(f"workers is {request.workers}: at least 1 process is needed.")
    if request.folder.exists() and not request.folder.is_dir():
        raise RaysweepError(f"{request.folder} is a file: use a folder.")
    check_labels(request.source)


@contextmanager
def _explained(request: Request) -> Iterator[None]:
    """Report what is kept if the block is interrupted or the disk fails."""
    try:
        yield
    except OSError as error:
        problem = f"{request.folder} cannot be written: {error.strerror or error}. "
        kept = _kept(request)
        advice = f"{kept}: once there is space, the same command continues" if kept else "Use another folder"
        raise RaysweepError(f"{problem}{advice}.") from None
    except KeyboardInterrupt:
        if kept := _kept(request):
            request.say(f"{kept}. The same command continues.")
        raise


def _kept(request: Request) -> str:
    if (staging := request.staging) is None:
        return ""
    return f"{staging.count:,} of {staging.total:,} images are kept in {staging.place}"


def _write(request: Request, place: Path) -> None:
    earlier = find_matching(request, place)
    published: Sequence[str] = ()
    if earlier and earlier.is_finished:
        publish(earlier, request.folder, request.overwrite)
        published, earlier = list(earlier.job.forms), None
    forms = missing_forms(request, published)
    if not forms:
        return
    workers = min(request.workers or usable_cores(), -(-request.images // SHARD_IMAGES))
    with Workers(request.source.splits, workers) as encoders:
        staging = _continued(request, earlier) if earlier else _begun(request, place, forms, encoders)
        _encode(request, staging, encoders)
        if (right := _right_forms(staging, forms)) != staging.job.forms:
            request.say("together, the images need another encoding than estimated: starting over with it")
            staging = Staging.begin(place, replace(staging.job, forms=right))
            _encode(request, staging, encoders)
    refuse_bad(staging, request.source, request.skip_bad)
    request.say("all images are encoded: writing and verifying the files")
    finish(staging, request.source)
    publish(staging, request.folder, request.overwrite)


def _continued(request: Request, staging: Staging) -> Staging:
    if not request.skip_bad and not staging.is_assembling:
        staging.forget_bad()
    request.say(f"continuing: {staging.count:,} of {staging.total:,} images are in {staging.place}")
    return staging


def _begun(request: Request, place: Path, forms: Forms, encoders: Workers) -> Staging:
    """New work, with the encodings and the size of shards that some of the images suggest.

    Raises:
        RaysweepError: the disk does not have enough space.
    """
    estimate = measure(request.source.splits, forms, encoders)
    chosen = decided(forms, {name: mean * request.images for name, mean in estimate.pixels.items()})
    if estimate.bad:
        request.say(
            f"{len(estimate.bad)} of {estimate.images} sampled images cannot be stored, first {estimate.bad[0]}"
        )
    request.say(estimate.text(chosen, request.images, len(encoders.workers), request.folder))
    images = {split: len(samples) for split, samples in request.source.splits.items()}
    shards = (
        SHARD_BYTES / max(1, estimate.bytes_per_image(chosen)),
        FETCHED_BYTES / max(1, request.source.fetched_bytes),
    )
    shard_images = max(1, int(min(SHARD_IMAGES, *shards)))
    return Staging.begin(place, Job(options(request.source, forms), chosen, images, shard_images))


def _encode(request: Request, staging: Staging, encoders: Workers) -> None:
    """Encode the missing shards."""
    request.staging = staging
    request.progress(staging.count, staging.total)
    forms = tuple(staging.job.forms.values())
    for task, encoded in encoders.results(Task(split, indices, forms) for split, indices in staging.missing()):
        staging.save(task.split, encoded)
        request.progress(staging.count, staging.total)


def _right_forms(staging: Staging, asked: Forms) -> dict[str, Form]:
    """The forms with the encodings that `auto` stands for, now that the sizes of all images are known."""
    forms = {name: replace(form, encoding=asked[name].encoding) for name, form in staging.job.forms.items()}
    return decided(forms, {name: staging.pixel_bytes(k) for k, name in enumerate(forms)})
