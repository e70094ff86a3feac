"""Standard output and standard error of the command when they cannot be written: closed, full, or nobody reads them."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class OutputError(Exception):
    """Standard output cannot be written. Not an OSError: click and Rich exit with status 1 at a broken pipe."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.is_broken_pipe = error.errno == errno.EPIPE


class _Descriptor(io.FileIO):
    """A descriptor that drops everything after a write has failed; `is_dispensable` ones raise nothing at all."""

    def __init__(self, descriptor: int, is_dispensable: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.is_dispensable = is_dispensable
        self.has_failed = False

    def write(self, content: Any) -> int:
        """Write bytes.

        Raises:
            OutputError: the first time that it fails.
        """
        if not self.has_failed:
            try:
                return super().write(content)
            except OSError as error:
                self.has_failed = True
                if not self.is_dispensable:
                    raise OutputError(error) from None
        return len(content)


_output: _Descriptor | None = None


@contextmanager
def checked_outputs() -> Iterator[None]:
    """Let writes to standard output that fail raise `OutputError`, and drop what standard error does not take.

    Raises:
        OutputError: standard output cannot be written.
    """
    global _output
    if (sys.stdout, sys.stderr) != (sys.__stdout__, sys.__stderr__):  # not those of the process, as in tests
        yield
        return
    before = sys.stdout, sys.stderr
    for descriptor in (0, 1, 2):
        _occupy(descriptor)
    _output = _Descriptor(1, is_dispensable=False)
    sys.stdout = _text(_output, before[0])
    sys.stderr = _text(_Descriptor(2, is_dispensable=True), before[1])
    try:
        yield
        sys.stdout.flush()
    finally:
        with suppress(OutputError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


def training_goes_on() -> None:
    """Drop what standard output does not take either: whatever comes of the output, trials go on."""
    if _output:
        _output.is_dispensable = True


def _occupy(descriptor: int) -> None:
    """Open a closed descriptor for reading, or the next file that is opened would take what is printed."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)


def _text(raw: _Descriptor, before: TextIO | None) -> TextIO:
    """A text stream like the one before, which was None if the descriptor was closed."""
    encoding = before.encoding if before else "utf-8"
    buffered = raw.isatty() or raw.fileno() == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=buffered)
