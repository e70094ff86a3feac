"""Processes that encode images, replaced when they die or do not answer.

Each is a new Python process, neither forked (this process may have threads) nor started by multiprocessing (which would
run a user's script again). A worker has one task at a time. If it dies, the images of its task are tried one by one: an
image that kills another worker is reported as bad; any other was only there when memory ran out.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType

import numpy as np

from raysweep.errors import RaysweepError
from raysweep.write.encode import Encoded, row_type
from raysweep.write.forms import Form
from raysweep.write.sources.base import Samples

STALL_S = 300.0
"""Seconds without an answer after which a worker is considered dead."""
EXIT_S = 5.0
"""Seconds that a worker may take to exit after closing its socket."""
MAX_DEATHS = 20
"""Number of workers that may die without any image encoded in between; then the images are not the cause."""


@dataclass(frozen=True)
class Task:
    """Images of one split to encode."""

    split: str
    indices: Sequence[int]
    forms: tuple[Form, ...]

    def one_by_one(self) -> list[Task]:
        """The same images as separate tasks."""
        return [Task(self.split, [index], self.forms) for index in self.indices]


@dataclass
class _Job:
    """A task, the number of its images that are not encoded yet, and the parts that are if it was split up."""

    task: Task
    left: int
    parts: list[Encoded] = field(default_factory=list)

    def add(self, encoded: Encoded) -> list[_Job]:
        """Add a part; returns the job if that makes it complete."""
        self.parts.append(encoded)
        self.left -= len(encoded.rows)
        return [] if self.left else [self]

    def result(self) -> Encoded:
        if len(self.parts) == 1:
            return self.parts[0]
        parts = sorted(self.parts, key=lambda part: int(part.rows["index"][0]))
        return Encoded(
            np.concatenate([part.rows for part in parts]),
            [b"".join(data) for data in zip(*(part.data for part in parts), strict=True)],
            {index: reason for part in parts for index, reason in part.reasons.items()},
            sum(part.seconds for part in parts),
        )


class _Worker:
    """One process and the socket to it."""

    def __init__(self, errors: int) -> None:
        """`errors` is the descriptor for its stdout and stderr."""
        ours, its = socket.socketpair()
        with its:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raysweep.write.worker", str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self.connection = Connection(ours.detach())
        self.is_ready = False
        self.busy: tuple[_Job, Task] | None = None
        self.since = time.monotonic()

    @property
    def is_free(self) -> bool:
        return self.is_ready and self.busy is None

    def give(self, job: _Job, task: Task, samples: Samples) -> None:
        """Send a task. If the worker has died, reading its answer fails."""
        message = pickle.dumps((samples.fetch(task.indices), task.indices, task.forms), pickle.HIGHEST_PROTOCOL)
        self.busy, self.since = (job, task), time.monotonic()
        with suppress(ConnectionError):
            self.connection.send_bytes(message)

    def answer(self) -> Encoded | None:
        """The encoded images; None if the worker reports that it is ready.

        Raises:
            EOFError, ConnectionError: the worker has died.
        """
        message = self.connection.recv()
        if message == "ready":
            self.is_ready = True
            return None
        assert self.busy
        rows, reasons, seconds = message
        return Encoded(rows, [self.connection.recv_bytes() for _ in self.busy[1].forms], reasons, seconds)

    def end(self, patience_s: float = 0.0) -> str:
        """Close the socket, kill the process if it does not exit within the time, and return how it ended."""
        self.connection.close()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


class Encoders:
    """A pool of workers; use it as a context manager."""

    def __init__(self, splits: Mapping[str, Samples], workers: int) -> None:
        """Start this many workers, at least 1, for the images of these splits."""
        self._splits = splits
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the workers)
        self._output_read = 0
        self._deaths = 0
        self.workers = [_Worker(self._errors.fileno()) for _ in range(workers)]

    def __enter__(self) -> Encoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.end()
        self._errors.close()

    def encode(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Encoded]]:
        """Tasks with their results, in the order in which they finish; few tasks are taken ahead of the workers.

        Raises:
            RaysweepError: workers keep dying.
        """
        waiting: deque[tuple[_Job, Task]] = deque()
        while True:
            while len(waiting) < len(self.workers) and (task := next(tasks, None)):
                waiting.append((_Job(task, len(task.indices)), task))
            if not waiting and not any(worker.busy for worker in self.workers):
                return
            self._hand_out(waiting)
            for job in self._collect(waiting):
                yield job.task, job.result()

    def _hand_out(self, waiting: deque[tuple[_Job, Task]]) -> None:
        for worker in self.workers:
            if worker.is_free and waiting:
                job, task = waiting.popleft()
                worker.give(job, task, self._splits[task.split])

    def _collect(self, waiting: deque[tuple[_Job, Task]]) -> list[_Job]:
        """Take the answers that have arrived and replace dead workers; returns the jobs that are complete."""
        jobs: list[_Job] = []
        answering = wait([worker.connection for worker in self.workers], timeout=1.0)
        for k, worker in enumerate(self.workers):
            if worker.connection in answering:
                try:
                    if encoded := worker.answer():
                        jobs += self._take(worker, encoded)
                except (EOFError, ConnectionError):
                    jobs += self._replace(k, waiting)
            elif not worker.is_free and time.monotonic() - worker.since > STALL_S:
                jobs += self._replace(k, waiting, f"did not answer for {STALL_S:.0f} s")
        return jobs

    def _take(self, worker: _Worker, encoded: Encoded) -> list[_Job]:
        assert worker.busy
        job, worker.busy = worker.busy[0], None
        self._deaths = 0
        return job.add(encoded)

    def _replace(self, number: int, waiting: deque[tuple[_Job, Task]], what: str = "") -> list[_Job]:
        """Replace a worker; returns its job if that is complete once an image is given up."""
        worker = self.workers[number]
        ended = worker.end(0.0 if what else EXIT_S)
        what = what or f"ended {ended}"
        self._deaths += 1
        if not worker.is_ready or self._deaths > MAX_DEATHS:
            raise RaysweepError(
                f"the processes that encode images keep dying: the last one {what}.{self._last_line()} If they run out "
                "of memory, use fewer --workers."
            )
        self.workers[number] = _Worker(self._errors.fileno())
        if worker.busy is None:
            return []
        job, task = worker.busy
        if len(task.indices) > 1:
            waiting.extendleft((job, single) for single in reversed(task.one_by_one()))
            return []
        return job.add(_not_stored(task, f"the process that decodes it {what}.{self._last_line()}".rstrip(".")))

    def _last_line(self) -> str:
        # Workers share the position in the file, and earlier output is from other workers: read from an offset.
        output = os.pread(self._errors.fileno(), 1 << 20, self._output_read)
        self._output_read += len(output)
        lines = output.decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" Its last output: {last}." if last else ""


def _not_stored(task: Task, reason: str) -> Encoded:
    rows = np.zeros(1, row_type(len(task.forms)))
    rows["index"] = task.indices[0]
    return Encoded(rows, [b""] * len(task.forms), {task.indices[0]: reason})
