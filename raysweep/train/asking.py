"""Processes that answer questions in lines of JSON: the first line that they read says what they are asked about."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from raysweep.process.children import child_environment, python_module


@contextmanager
def process(module: str, first: object) -> Iterator[subprocess.Popen[str]]:
    """Run a module of raysweep that answers questions; it is killed at the end."""
    command, pipe = python_module(module), subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=child_environment()) as started:
        try:
            send(started, first)
            yield started
        finally:
            started.kill()


def send(process: subprocess.Popen[str], message: object) -> None:
    """Send a question without waiting for the answer."""
    assert process.stdin
    with suppress(BrokenPipeError):  # the process has ended: `answer` reports why
        print(json.dumps(message), file=process.stdin, flush=True)


def answer(process: subprocess.Popen[str]) -> Any:
    """Wait for the answer to the oldest open question.

    Raises:
        RuntimeError: the process has ended; holds the last line of its error.
    """
    assert process.stdout
    assert process.stderr
    if line := process.stdout.readline():
        return json.loads(line)
    errors = process.stderr.read().strip().splitlines()
    raise RuntimeError(errors[-1] if errors else f"a measuring process ended with status {process.wait()}")
