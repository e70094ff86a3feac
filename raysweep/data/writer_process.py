"""The process that writes FFCV files: `write_images` starts it, watches it and ends it.

FFCV's writer waits for ever when one of its workers dies. So it only gets images that have been decoded here before,
its workers are watched, and all of it happens in a process group that can be killed as a whole. Messages to the parent
are lines of JSON on the standard output.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from raysweep.data.beton import Beton, read_beton
from raysweep.data.checking import (
    CHUNK,
    Checked,
    Examined,
    Job,
    check_space,
    check_split,
    choose_encoding,
    page_size,
    processes,
    refuse_bad,
)
from raysweep.errors import RaysweepError

Say = Callable[[dict[str, Any]], None]


def run(job: Job, say: Say) -> dict[str, Any]:
    """Check and write all splits; returns what the manifest needs of the files.

    Raises:
        RaysweepError: images that cannot be stored, or too little space.
    """
    progress = _Progress(say, 2 * sum(map(len, job.splits.values())))
    checked = {split: check_split(Examined(samples, job), progress.add) for split, samples in job.splits.items()}
    refuse_bad(job, checked)
    encoding = choose_encoding(job, checked)
    check_space(job, checked, encoding)
    for split, samples in job.splits.items():
        progress.add(len(checked[split].bad))
        write_split(Examined(samples, job), split, checked[split], encoding, progress)
    result = describe(job, checked, encoding)
    return result | {"skipped": [name for found in checked.values() for name in found.bad]}


class _Progress:
    """Tells the parent how far we are: every image counts once for its check and once for its place in the file."""

    def __init__(self, say: Say, total: int) -> None:
        self.say = say
        self.total = total
        self.done = 0

    def add(self, count: int) -> None:
        """So many more."""
        self.done += count
        self.say({"done": self.done, "total": self.total})

    def update(self, count: int) -> None:
        """As FFCV tells it to its progress bar, whose place this takes."""
        self.add(int(count))

    def close(self) -> None:
        """FFCV closes its bar after every file."""


def import_ffcv() -> types.ModuleType:
    """FFCV without what makes its import slow.

    A numba dictionary that it compiles at import, 3 s, is replaced by a plain one, which serves for writing.
    """
    typed: Any = importlib.import_module("numba.typed")
    original, typed.Dict = typed.Dict, dict
    try:
        return importlib.import_module("ffcv")
    finally:
        typed.Dict = original


def write_split(examined: Examined, split: str, found: Checked, encoding: str, progress: _Progress) -> None:
    """Let FFCV write the file of one split."""
    import_ffcv()
    fields: Any = importlib.import_module("ffcv.fields")
    writer: Any = importlib.import_module("ffcv.writer")
    started: list[Any] = []
    writer.Process = _recorded(started)
    writer.tqdm = lambda **_: progress
    kinds = {
        "image": fields.RGBImageField(write_mode=encoding, jpeg_quality=examined.job.quality),
        "label": fields.IntField(),
    }
    work = writer.DatasetWriter(
        str(Path(examined.job.folder) / f"{split}.beton"),
        kinds,
        page_size=page_size(found, encoding),
        num_workers=processes(examined.job, len(found.good)),
    )
    prepare = work.prepare

    def prepare_and_tell() -> None:
        # The parent removes the segment if it has to kill us.
        prepare()
        progress.say({"shared_memory": work.metadata_sm.name})

    work.prepare = prepare_and_tell
    with _watched(started, progress.say):
        work.from_indexed_dataset(examined, indices=found.good.tolist(), chunksize=CHUNK)


def _recorded(started: list[Any]) -> type:
    class Recorded(multiprocessing.get_context("fork").Process):  # type: ignore[misc]
        """A worker that is known to the watch."""

        def start(self) -> None:
            super().start()
            started.append(self)

    return Recorded


@contextmanager
def _watched(workers: list[Any], say: Say) -> Iterator[None]:
    """Ends this process as soon as a worker of FFCV has died: FFCV itself would wait for it for ever."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            died = [code for code in [worker.exitcode for worker in list(workers)] if code]
            if died:
                time.sleep(0.2)  # its traceback is on its way
                how = f"by {signal.Signals(-died[0]).name}" if died[0] < 0 else f"with exit status {died[0]}"
                say({"died": how})
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    yield
    over.set()


def describe(job: Job, checked: Mapping[str, Checked], encoding: str) -> dict[str, Any]:
    """Sizes, checksums, counts and the digest of the files just written."""
    classes = 1 + max(int(samples.labels.max()) for samples in job.splits.values())
    splits = {}
    betons = {split: read_beton(Path(job.folder) / f"{split}.beton") for split in job.splits}
    for split, beton in betons.items():
        with beton.path.open("r+b") as file:
            os.fsync(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        counts = np.bincount(beton.labels, minlength=classes).tolist()
        size = beton.path.stat().st_size
        splits[split] = {"bytes": size, "sha256": sha256, "images": len(beton), "class_counts": counts}
    short_side = min(int(found.sides.min()) for found in checked.values())
    contents = {split: content_digest(beton) for split, beton in betons.items()}
    return {"splits": splits, "short_side": short_side, "encoding": encoding, "contents": contents}


def content_digest(beton: Beton) -> str:
    """Of sides, labels and stored bytes in index order; wherever in the file they lie."""
    content = hashlib.blake2b(digest_size=16)
    heads = np.stack([beton.labels, beton.heights, beton.widths, beton.sizes.astype(np.int64)], 1).astype("<i8")
    for index, head in enumerate(heads):
        content.update(head.tobytes())
        content.update(beton.stored(index).data)
    return content.hexdigest()


def _lines(file: TextIO) -> Say:
    lock = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        with lock:
            file.write(json.dumps(message) + "\n")
            file.flush()

    return say


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Read the job from the standard input, do it, and say how it went."""
    say = _lines(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever libraries print is no message of ours
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    cv2.setNumThreads(1)
    job = Job(**pickle.load(sys.stdin.buffer))
    try:
        say({"result": run(job, say)})
    except RaysweepError as error:
        say({"error": str(error)})


if __name__ == "__main__":
    main()
