"""Images from a source into a folder of FFCV files with a manifest: all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from raysweep.data.manifest import ENCODINGS, FILE_NAME, MEMORY_NAME, VERSION, Manifest, Split, write_manifest
from raysweep.data.sources.base import Source, check_classes, check_labels
from raysweep.errors import RaysweepError
from raysweep.validate import RESCALES

Progress = Callable[[int, int], None]
STALL_S = 300.0
"""Seconds without any progress after which the writing process is taken for dead."""


def write_images(
    source: Source,
    folder: Path,
    *,
    side: int | None = None,
    rescale: str = "auto",
    encoding: str = "auto",
    quality: int = 90,
    skip_bad: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write train.beton, test.beton and, last, manifest.json into `folder`.

    Args:
        source: see `open_source`.
        folder: made if it is not there.
        side: short side to store, px; the aspect stays. None: as the images are; the manifest then has the shortest.
        rescale: how images are resized: auto (area where they shrink, cubic where they grow), or one of RESCALES.
        encoding: raw (pixels as they are), jpg, or auto: raw if that takes less than a GiB.
        quality: of JPEG.
        skip_bad: leave out images that cannot be decoded, and list them in the manifest, instead of refusing.
        overwrite: replace the image set that is in `folder`.
        workers: processes; None: one per core.
        progress: called with steps done and steps in all; an image has two, its check and its writing.

    Raises:
        RaysweepError: images, labels, folder or disk that do not serve. The folder is then as it was before.
    """
    folder = Path(folder)
    _check_arguments(folder, encoding, quality, overwrite, workers)
    _check_size(side, rescale)
    check_labels(source)
    with _staging(folder) as staging:
        job = {
            "splits": dict(source.splits),
            "folder": str(staging),
            "side": side,
            "rescale": rescale,
            "encoding": encoding,
            "quality": quality,
            "skip_bad": skip_bad,
            "workers": workers or len(os.sched_getaffinity(0)),
            "free_bytes": shutil.disk_usage(staging).free,
        }
        manifest = _manifest(source, quality, rescale, _run(job, staging, progress or (lambda done, total: None)))
        check_classes(manifest.classes, manifest.splits["train"].class_counts, source.spec)
        _publish(staging, folder, manifest)
    return manifest


def _check_size(side: int | None, rescale: str) -> None:
    if side is not None and side < 1:
        raise RaysweepError(f"side is {side}: give the short side to store in pixels, or none to keep it.")
    if rescale not in RESCALES:
        raise RaysweepError(f"rescale is {rescale!r}: use {', '.join(RESCALES)}.")
    if side is None and rescale != "auto":
        raise RaysweepError(f"rescale is {rescale}, but without a side nothing is resized: add --side.")


def _check_arguments(folder: Path, encoding: str, quality: int, overwrite: bool, workers: int | None) -> None:
    if encoding not in ("auto", *ENCODINGS):
        raise RaysweepError(f"encoding is {encoding!r}: use auto, {' or '.join(ENCODINGS)}.")
    if not 1 <= quality <= 100:
        raise RaysweepError(f"quality is {quality}: JPEG has 1 to 100.")
    if workers is not None and workers < 1:
        raise RaysweepError(f"workers is {workers}: at least 1 process is needed.")
    if folder.exists() and not folder.is_dir():
        raise RaysweepError(f"{folder} is a file: name a folder.")
    if (folder / FILE_NAME).exists() and not overwrite:
        raise RaysweepError(f"{folder} already has an image set: name another folder, or replace it with --overwrite.")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder on the same disk for unfinished files; nothing of it stays."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    except OSError as error:
        raise RaysweepError(f"{folder} cannot be written: {error.strerror}. Name another folder.") from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for path in made:
            if any(path.iterdir()):
                break
            path.rmdir()


def _run(job: dict[str, Any], staging: Path, progress: Progress) -> dict[str, Any]:
    """Have the writing process do the job."""
    with (staging / "log").open("w+b") as log, _process(log) as (process, messages):
        segment = None
        try:
            _send(process, job)
            while True:
                message = _next(messages, process, log)
                segment = message.get("shared_memory", segment)
                if "done" in message:
                    progress(message["done"], message["total"])
                elif "error" in message:
                    raise RaysweepError(message["error"])
                elif "died" in message:
                    raise _died(f"a worker of FFCV's writer ended {message['died']}", log)
                elif "result" in message:
                    return dict(message["result"])
        finally:
            _end(process, segment)


@contextmanager
def _process(log: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], queue.Queue[dict[str, Any] | None]]]:
    # A new process, not a fork: ours may have threads, and FFCV changes thread counts process-wide. A new session, so
    # that it can be killed with its workers and does not see our Ctrl-C.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "raysweep.data.writer_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,
    )
    messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
    thread = threading.Thread(target=_read, args=(process.stdout, messages), daemon=True)
    thread.start()
    with process:
        yield process, messages
    thread.join()


def _read(lines: IO[bytes], messages: queue.Queue[dict[str, Any] | None]) -> None:
    for line in lines:
        messages.put(json.loads(line))
    messages.put(None)


def _send(process: subprocess.Popen[bytes], job: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        pickle.dump(job, process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        return  # it has died: the next message says so


def _next(
    messages: queue.Queue[dict[str, Any] | None], process: subprocess.Popen[bytes], log: IO[bytes]
) -> dict[str, Any]:
    try:
        message = messages.get(timeout=STALL_S)
    except queue.Empty:
        raise _died(f"there was no progress for {STALL_S:.0f} s", log) from None
    if message is None:
        raise _died(f"the writing process ended with status {process.wait()}", log)
    return message


def _died(what: str, log: IO[bytes]) -> RaysweepError:
    log.seek(0)
    last = next((line for line in reversed(log.read().decode(errors="replace").splitlines()) if line.strip()), "")
    cause = f" Its last words: {last.strip()}." if last else ""
    return RaysweepError(
        f"writing failed: {what}.{cause} If it was killed for memory, use fewer --workers; if the disk is full or "
        "slow, name a folder on another one."
    )


def _end(process: subprocess.Popen[bytes], segment: str | None) -> None:
    """Kill the process with its workers and remove what FFCV left in shared memory."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if segment is not None:
        (Path("/dev/shm") / segment).unlink(missing_ok=True)


def _manifest(source: Source, quality: int, rescale: str, result: dict[str, Any]) -> Manifest:
    content = [result["encoding"], result["short_side"], list(source.classes), sorted(result["contents"].items())]
    if rescale != "auto":  # sets written before there was a choice keep their digest
        content.append(rescale)
    splits = {}
    for name, values in result["splits"].items():
        counts = values.pop("class_counts")
        counts += [0] * (len(source.classes) - len(counts))
        splits[name] = Split(file=f"{name}.beton", class_counts=tuple(counts), **values)
    return Manifest(
        version=VERSION,
        name=source.name,
        source=source.spec,
        classes=tuple(source.classes),
        short_side=result["short_side"],
        encoding=result["encoding"],
        quality=quality,
        digest=hashlib.blake2b(json.dumps(content).encode(), digest_size=6).hexdigest(),
        splits=splits,
        skipped=tuple(result["skipped"]),
        rescale=rescale,
    )


def _publish(staging: Path, folder: Path, manifest: Manifest) -> None:
    # Without a manifest from here to the end: a crash between two renames leaves no set that looks whole.
    for name in (FILE_NAME, MEMORY_NAME):
        (folder / name).unlink(missing_ok=True)
    for split in manifest.splits.values():
        (staging / split.file).replace(folder / split.file)
    write_manifest(folder, manifest)
