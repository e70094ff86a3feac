"""Processes that encode images, and what happens when one of them dies or does not answer.

Each is a new Python, neither forked (this process may have threads) nor started by multiprocessing (which would run a
user's script again). A worker has one task at a time. The task of one that ends is done again image by image: an image
that ends its worker once more is named and left out, one that does not was in the wrong place when memory ran out.
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
"""Seconds without an answer after which a worker is taken for dead."""
EXIT_S = 5.0
"""Seconds a worker that has closed its socket may take to end."""
MAX_DEATHS = 20
"""Workers that may end with no image encoded in between: then it is not the images."""


@dataclass(frozen=True)
class Task:
    """Images of one split to encode."""

    split: str
    indices: Sequence[int]
    forms: tuple[Form, ...]

    def one_by_one(self) -> list[Task]:
        """The same images, each by itself."""
        return [Task(self.split, [index], self.forms) for index in self.indices]


@dataclass
class _Job:
    """A task with its place in the order; `parts` are what is known of it when it had to be taken apart."""

    task: Task
    left: int
    parts: list[Encoded] = field(default_factory=list)

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
        """`errors` is the descriptor its last words go to."""
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
        """Send a task; that the worker has died meanwhile shows when its answer is read."""
        message = pickle.dumps((samples.fetch(task.indices), task.indices, task.forms), pickle.HIGHEST_PROTOCOL)
        self.busy, self.since = (job, task), time.monotonic()
        with suppress(ConnectionError):
            self.connection.send_bytes(message)

    def answer(self) -> Encoded | None:
        """What it has done; None when it tells that it is ready.

        Raises:
            EOFError, ConnectionError: it has ended.
        """
        message = self.connection.recv()
        if message == "ready":
            self.is_ready = True
            return None
        assert self.busy
        rows, reasons, seconds = message
        return Encoded(rows, [self.connection.recv_bytes() for _ in self.busy[1].forms], reasons, seconds)

    def end(self, patience_s: float = 0.0) -> str:
        """Close the socket, kill it if it does not end by itself, and say how it ended."""
        self.connection.close()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


class Encoders:
    """The processes; use as a context manager."""

    def __init__(self, splits: Mapping[str, Samples], workers: int) -> None:
        """`workers` at least 1."""
        self._splits = splits
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the workers)
        self._heard = 0
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

    def encode(self, tasks: Iterator[Task]) -> Iterator[Encoded]:
        """The results, in the order of the tasks; no more are taken than twice as many as there are workers.

        Raises:
            RaysweepError: workers that end again and again.
        """
        order: deque[_Job] = deque()
        waiting: deque[tuple[_Job, Task]] = deque()
        while True:
            while len(order) < 2 * len(self.workers) and (task := next(tasks, None)):
                order.append(_Job(task, len(task.indices)))
                waiting.append((order[-1], task))
            if not order:
                return
            self._hand_out(waiting)
            self._collect(waiting)
            while order and not order[0].left:
                yield order.popleft().result()

    def _hand_out(self, waiting: deque[tuple[_Job, Task]]) -> None:
        for worker in self.workers:
            if worker.is_free and waiting:
                job, task = waiting.popleft()
                worker.give(job, task, self._splits[task.split])

    def _collect(self, waiting: deque[tuple[_Job, Task]]) -> None:
        """Take the answers that are there and see to workers that give none."""
        answering = wait([worker.connection for worker in self.workers], timeout=1.0)
        for k, worker in enumerate(self.workers):
            if worker.connection in answering:
                try:
                    if encoded := worker.answer():
                        self._take(worker, encoded)
                except (EOFError, ConnectionError):
                    self._replace(k, waiting)
            elif not worker.is_free and time.monotonic() - worker.since > STALL_S:
                self._replace(k, waiting, f"did not answer for {STALL_S:.0f} s")

    def _take(self, worker: _Worker, encoded: Encoded) -> None:
        assert worker.busy
        job, worker.busy = worker.busy[0], None
        job.parts.append(encoded)
        job.left -= len(encoded.rows)
        self._deaths = 0

    def _replace(self, number: int, waiting: deque[tuple[_Job, Task]], what: str = "") -> None:
        worker = self.workers[number]
        ended = worker.end(0.0 if what else EXIT_S)
        what = what or f"ended {ended}"
        self._deaths += 1
        if not worker.is_ready or self._deaths > MAX_DEATHS:
            raise RaysweepError(
                f"the processes that encode images end: the last one {what}.{self._last_words()} If they are killed "
                "for memory, use fewer --workers."
            )
        if worker.busy:
            self._take_apart(
                *worker.busy, waiting, f"the process that decodes it {what}.{self._last_words()}".rstrip(".")
            )
        self.workers[number] = _Worker(self._errors.fileno())

    def _take_apart(self, job: _Job, task: Task, waiting: deque[tuple[_Job, Task]], reason: str) -> None:
        if len(task.indices) > 1:
            waiting.extendleft((job, single) for single in reversed(task.one_by_one()))
            return
        index = task.indices[0]
        rows = np.zeros(1, row_type(len(task.forms)))
        rows["index"] = index
        job.parts.append(Encoded(rows, [b""] * len(task.forms), {index: reason}))
        job.left -= 1

    def _last_words(self) -> str:
        # Read by place: workers share the file's position, and what was said before is not about this one.
        said = os.pread(self._errors.fileno(), 1 << 20, self._heard)
        self._heard += len(said)
        lines = said.decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" Its last words: {last}." if last else ""
