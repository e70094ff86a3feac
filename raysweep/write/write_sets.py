"""Images from a source into folders of FFCV files with manifests, in as many sizes as are wanted in one pass.

A set appears all at once. Until then it grows in the folder's `.writing`, from which the same command goes on after
whatever ended it: see `staging.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysweep.data.manifest import Manifest, read_manifest
from raysweep.errors import RaysweepError
from raysweep.write.estimate import measure
from raysweep.write.folder_lock import locked
from raysweep.write.forms import Form, Forms, make_forms
from raysweep.write.left_over import Progress, Request, Say, check_source, find_matching, missing_forms, options
from raysweep.write.one_pass import CHUNK, OtherEncodingError, check_encodings, encode_rest
from raysweep.write.publishing import finish, publish, refuse_bad
from raysweep.write.sources.base import Source, check_labels
from raysweep.write.staging import Job, Left, Staging
from raysweep.write.workers import Encoders


def write_images(source: Source, folder: Path, **options: Any) -> Manifest:
    """As `write_sets`; returns the manifest of the folder itself."""
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
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> dict[Path, Manifest]:
    """Write train.beton, test.beton and, last, manifest.json into `folder`, and into a subfolder for every other size.

    Killed or interrupted, the same call goes on where it was: about `staging.CHECKPOINT_S` of work is done again.

    Args:
        source: see `open_source`.
        folder: made if it is not there.
        side: short side to store, px; the aspect stays. None: as the images are; the manifest then has the shortest.
        also: further sizes, such as `80` or `144-nearest`, that go to the subfolders `short80`, `short144-nearest`.
            With them, sets of this source that are in their folder already are kept.
        rescale: how images are resized: auto (area where they shrink, cubic where they grow), or one of RESCALES.
        encoding: raw (pixels as they are), jpg, mixed, or auto: raw if that takes less than a GiB.
        quality: of JPEG.
        raw_share: of mixed: which share of the images is stored as pixels; a hash of an image's number decides.
        skip_bad: leave out images that cannot be decoded, and list them in the manifest, instead of refusing. Refusing
            comes at the end, and what has been written is kept: only the bad images are then read again.
        overwrite: replace sets that are there, and what is left of an unfinished one that was another.
        workers: processes; None: one per core.
        progress: called with images done and images in all.
        say: called with what a user should know before and meanwhile.

    Raises:
        RaysweepError: images, labels, folder or disk that do not serve. Sets in the folder are as they were before.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    folder = Path(folder)
    forms = make_forms(Form(side, rescale, encoding, quality, raw_share), also)
    request = Request(source, folder, forms, skip_bad, overwrite, workers, progress or _ignore, say or _ignore)
    _check(request)
    with locked(folder) as place, _words_for_errors(folder):
        _write(request, place)
    return {folder / name: read_manifest(folder / name) for name in forms}


def _ignore(*_: object) -> None:
    """Where nobody wants to know."""


def _check(request: Request) -> None:
    if request.workers is not None and request.workers < 1:
        raise RaysweepError(f"workers is {request.workers}: at least 1 process is needed.")
    if request.folder.exists() and not request.folder.is_dir():
        raise RaysweepError(f"{request.folder} is a file: name a folder.")
    check_labels(request.source)


@contextmanager
def _words_for_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RaysweepError(f"{folder} cannot be written: {error.strerror or error}. Name another folder.") from None


def _write(request: Request, place: Path) -> None:
    left = find_matching(request, place)
    published: Sequence[str] = ()
    if left and left.manifests is not None:
        published = list(left.job.forms)
        publish(place, request.folder, left.manifests, request.overwrite)
        left = None
    forms = missing_forms(request, published)
    if not forms:
        return
    if left and not check_source(request, left):
        left = None
    with Encoders(request.source.splits, request.processes(CHUNK)) as encoders:
        manifests = _write_forms(request, place, forms, left, encoders)
    publish(place, request.folder, manifests, request.overwrite)


def _write_forms(
    request: Request, place: Path, forms: Forms, left: Left | None, encoders: Encoders
) -> Mapping[str, Any]:
    """Write all images in these forms; what is left of an earlier process is made use of. Returns the manifests."""
    decided, chunk = _decide(request, place, left.job.forms if left else forms, left.count if left else 0, encoders)
    images = {split: len(samples) for split, samples in request.source.splits.items()}
    while True:
        job = Job(options(request.source, forms), decided, images)
        staging = Staging.go_on(place, left) if left else Staging.begin(place, job)
        try:
            with _kept(request, staging):
                encode_rest(request, staging, encoders, forms, chunk)
                check_encodings(staging, forms)
                refuse_bad(staging, request.source, request.skip_bad)
                request.say("all images are encoded: tables and checksums follow")
                return finish(staging, request.source)
        except OtherEncodingError as other:
            left, decided = None, {**decided, other.name: replace(decided[other.name], encoding=other.encoding)}
            request.say(f"all images together want {other.encoding}: beginning again with it")


def _decide(request: Request, place: Path, forms: Forms, done: int, encoders: Encoders) -> tuple[dict[str, Form], int]:
    """The forms with their encodings, and how many images a worker takes at a time, from some that are tried.

    Raises:
        RaysweepError: the disk will not hold the images that are not done.
    """
    rest = request.images - done
    if not rest:
        return dict(forms), 1
    estimate = measure(request.source.splits, forms, encoders)
    decided = estimate.choose(forms, request.images)
    free = shutil.disk_usage(request.folder).free
    if done:
        request.say(f"going on: {done:,} of {request.images:,} images are in {place}")
    if estimate.bad:
        request.say(f"of {estimate.images} images tried {len(estimate.bad)} cannot be stored, first {estimate.bad[0]}")
    request.say(estimate.text(decided, rest, len(encoders.workers), free))
    estimate.refuse_full(decided, rest, free, request.folder)
    return decided, estimate.chunk(decided, CHUNK)


@contextmanager
def _kept(request: Request, staging: Staging) -> Iterator[None]:
    """Whatever happens, what has been encoded is kept, and the user is told."""
    try:
        yield
    except OSError as error:
        _save(staging)
        raise RaysweepError(
            f"{staging.place} cannot be written to: {error.strerror or error}. {_what_is_kept(staging)}: once there is "
            "room the same command goes on."
        ) from None
    except KeyboardInterrupt:
        _save(staging)
        request.say(f"stopped; {_what_is_kept(staging)}. The same command goes on.")
        raise
    except RaysweepError:
        _save(staging)
        raise
    finally:
        staging.close()


def _save(staging: Staging) -> None:
    with suppress(OSError):
        staging.save()


def _what_is_kept(staging: Staging) -> str:
    return f"{staging.kept:,} of {staging.total:,} images are kept in {staging.place}"
