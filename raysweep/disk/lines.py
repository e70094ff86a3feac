"""Files that grow by whole lines: each is on disk before the next, and one that a kill left unfinished is cut off."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from raysweep.disk.locks import locked
from raysweep.disk.whole import write_whole


class LineFile:
    """A file that is open for more lines and locked for as long as it is open."""

    def __init__(self, path: Path, whole: Callable[[bytes], bytes]) -> None:
        """Open the file at `path`, or create it.

        Args:
            path: its folder must exist.
            whole: takes the content (b"" for a new file) and returns that to continue from: the same without an
                unfinished last line, or another one, which replaces it. What it raises leaves the file unchanged.

        Raises:
            LockedError: it is open elsewhere.
            OSError: it cannot be read or written.
        """
        with ExitStack() as opened:
            opened.enter_context(locked(path.with_name(f"{path.name}.lock"), wait=False))
            content = path.read_bytes() if path.exists() else b""
            kept = whole(content)
            if not content.startswith(kept):
                write_whole(path, kept)
            self._file, self._end = os.open(path, os.O_RDWR | os.O_CREAT, 0o666), len(kept)
            opened.callback(os.close, self._file)
            os.ftruncate(self._file, self._end)
            self._opened = opened.pop_all()

    def append(self, line: bytes) -> None:
        """Append a line and wait until the disk holds it.

        Raises:
            OSError: no space, or a failing disk; the file is unchanged.
        """
        try:
            if os.pwrite(self._file, line, self._end) < len(line):
                raise OSError(0, "the disk is full")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(line)

    def close(self) -> None:
        """Release the file for other processes."""
        self._opened.close()
