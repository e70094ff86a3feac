"""A process that reads images like a trial, as the test commands."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.data.chunk_cache import ChunkCache
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import read_manifest
from raysweep.data.shared_stream import SharedStream
from raysweep.data.stream import Batch, TrainStream

SIDE = 32
# Started once and then forked: loading the compiled loops in each process would take a second.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def digest(batch: Batch) -> str:
    parts = (batch.images, batch.labels, batch.indices)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def num_users(cache: ChunkCache) -> int:
    return int(np.count_nonzero(cache._segment.users["pid"]))


class Sharer:
    """The test's end of the connection to a process."""

    def __init__(self, images: Path, memory: Path) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, images, memory))
        self.process.start()
        theirs.close()

    def send(self, command: str, *arguments: int) -> None:
        """Send a command; `answer` returns its result."""
        self.connection.send((command, arguments))

    def answer(self) -> Any:
        return self.connection.recv()

    def ask(self, command: str, *arguments: int) -> Any:
        self.send(command, *arguments)
        return self.answer()

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        if self.process.is_alive():
            self.send_signal(signal.SIGCONT)
        self.connection.close()
        self.process.join(60)
        assert self.process.exitcode is not None


class _Reader:
    """The process's end of the connection."""

    def __init__(self, images: Path, memory: Path) -> None:
        self.file = ImageFile.open(images, read_manifest(images), "train")
        self.memory = memory

    def open(self, seed: int, batch_size: int) -> None:
        stream = TrainStream(self.file, side=SIDE, batch_size=batch_size, seed=seed)
        self.stream = SharedStream(stream, self.memory)

    def read(self, first: int, last: int) -> list[str]:
        return [digest(self.stream.batch(number)) for number in range(first, last)]

    def counts(self) -> list[int]:
        stream = self.stream
        return [stream.num_made, stream.num_private, stream.num_waits]

    def claim(self, chunk: int) -> str:
        _, slot = self.stream._cache.request([chunk])
        assert slot
        return slot.answer.name

    def close(self) -> None:
        self.stream.close()


def _serve(connection: Connection, images: Path, memory: Path) -> None:
    reader = _Reader(images, memory)
    while True:
        try:
            command, arguments = connection.recv()
        except EOFError:  # the test is over
            return
        connection.send(getattr(reader, command)(*arguments))
