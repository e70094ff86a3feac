"""Processes that decode images, each used by one thread and replaced when it dies or does not answer.

Each is a new Python process, neither forked (this process may have threads) nor started by multiprocessing (which would
run a user's script again). A worker has one task at a time. If it dies, the images of its task are tried one by one: an
image that kills another worker is reported as bad; any other was only there when memory ran out.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from raysweep.errors import RaysweepError
from raysweep.process.children import child_environment, python_module
from raysweep.write.sources.base import Read, Samples
from raysweep.write.work import Work

Result = TypeVar("Result")

STALL_S = 300.0
"""Seconds without an answer after which a worker is considered dead."""
EXIT_S = 5.0
"""Seconds that a worker may take to exit after closing its socket."""
MAX_DEATHS = 20
"""Number of workers that may die without any image encoded in between; then the images are not the cause."""


class _Worker:
    """A process and the socket to it."""

    def __init__(self, errors: int) -> None:
        """`errors` is the descriptor for the stdout and stderr of the process."""
        self._errors = errors
        self.start()

    def start(self) -> None:
        """Start a process."""
        ours, its = socket.socketpair()
        with its:
            self.process = subprocess.Popen(
                python_module("raysweep.write.worker", str(its.fileno())),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env=child_environment(),
            )
        self.connection = Connection(ours.detach())
        self.is_ready = False

    def do(self, read: Read, task: Work[Result]) -> Result:
        """The result of a task.

        Raises:
            EOFError, OSError: the process has died; TimeoutError: it does not answer.
        """
        if not self.is_ready:
            self.is_ready = bool(self._answer())
        self.connection.send((read, task))
        result: Result = self._answer()
        return result

    def _answer(self) -> Any:
        if not self.connection.poll(STALL_S):
            raise TimeoutError
        return self.connection.recv()

    def end(self, patience_s: float = 0.0) -> str:
        """Close the socket, kill the process if it does not exit within the time, and return how it ended."""
        self.connection.close()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


class Workers:
    """A pool of workers; use it as a context manager."""

    def __init__(self, splits: Mapping[str, Samples], workers: int) -> None:
        """Start this many workers, at least 1, for the images of these splits."""
        self._splits = splits
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the workers)
        self._output_read = 0
        self._deaths = 0
        self._is_closed = False
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(workers, "raysweep-encode")
        self.workers = [_Worker(self._errors.fileno()) for _ in range(workers)]
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self.workers:
            self._free.put(worker)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_closed = True
            for worker in self.workers:
                worker.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self.workers:
            worker.end()
        self._errors.close()

    def results(self, tasks: Iterator[Work[Result]]) -> Iterator[tuple[Work[Result], Result]]:
        """Tasks with their results, in the order in which they finish; few tasks are taken ahead of the workers.

        Raises:
            RaysweepError: workers keep dying.
        """
        running: dict[Future[Result], Work[Result]] = {}
        while True:
            while len(running) < 2 * len(self.workers) and (task := next(tasks, None)):
                running[self._threads.submit(self._result, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()

    def _result(self, task: Work[Result]) -> Result:
        worker = self._free.get()
        try:
            return self._result_from(worker, task)
        finally:
            self._free.put(worker)

    def _result_from(self, worker: _Worker, task: Work[Result]) -> Result:
        with self._lock:  # sources are not made for threads
            read = self._splits[task.split].fetch(task.indices)
        try:
            result = worker.do(read, task)
        except (EOFError, OSError) as error:
            reason = self._restart(worker, error)
        else:
            self._deaths = 0
            return result
        if len(task.indices) == 1:
            return task.lost(f"the process that decodes it {reason}".rstrip("."))
        return task.joined([self._result_from(worker, replace(task, indices=[index])) for index in task.indices])

    def _restart(self, worker: _Worker, error: Exception) -> str:
        """Replace a process that has died or does not answer; returns how it ended."""
        with self._lock:
            if self._is_closed:
                raise error
            if isinstance(error, TimeoutError):
                worker.end()
                reason = f"did not answer for {STALL_S:.0f} s.{self._last_line()}"
            else:
                reason = f"ended {worker.end(EXIT_S)}.{self._last_line()}"
            self._deaths += 1
            if not worker.is_ready or self._deaths > MAX_DEATHS:
                raise RaysweepError(
                    f"the processes that decode images keep dying: the last one {reason} If they run out of memory, "
                    "use fewer --workers."
                )
            worker.start()
            return reason

    def _last_line(self) -> str:
        # Workers share the position in the file, and earlier output is from other workers: read from an offset.
        output = os.pread(self._errors.fileno(), 1 << 20, self._output_read)
        self._output_read += len(output)
        lines = output.decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" Its last output: {last}." if last else ""
