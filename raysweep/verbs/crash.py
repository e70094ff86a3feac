"""The report of an error that nothing in raysweep has foreseen: a sentence, and a file with the traceback."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from importlib.metadata import version
from textwrap import shorten

from raysweep.addresses import redacted
from raysweep.safe import command


def report(error: Exception) -> str:
    """Write the traceback to a file; returns what to tell the user."""
    what = f"unexpected {type(error).__name__}: {shorten(redacted(str(error)), 300) or 'no message'}."
    try:
        path = _write("".join(traceback.format_exception(error)))
    except OSError as problem:
        return f"{what} Its traceback could not be stored ({problem}): set RAYSWEEP_TRACEBACK=1 to see and report it."
    return f"{what} This is a fault of raysweep: please report it as an issue, with the traceback in {path}"


def _write(text: str) -> str:
    """Write a new file that only the user may read, where there is no home either; returns its path.

    Raises:
        OSError: there is no folder for temporary files.
    """
    about = f"raysweep {version('raysweep')}, Python {sys.version}, {platform.platform()}\n{command(*sys.argv)}\n\n"
    descriptor, path = tempfile.mkstemp(prefix="raysweep-error-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write(redacted(about + text))
    return path
