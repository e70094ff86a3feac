"""Python processes that raysweep starts: they find raysweep where this process did, and run nothing that lies in the
working directory, which may hold somebody else's files or modules named as those of Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

OWN = Path(__file__).resolve().parents[2]
"""The folder in which this process found raysweep."""


def python_module(name: str, *words: str) -> list[str]:
    """The command that runs a module of raysweep in a new process; start it with `child_environment`."""
    return [sys.executable, "-P", "-m", name, *words]


def search_path() -> list[str]:
    """`sys.path` without the working directory, unless PYTHONPATH names it or it is where raysweep itself was found."""
    kept = {OWN, *(Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)}
    here = Path.cwd()
    return [entry or str(here) for entry in sys.path if (folder := Path(entry).resolve()) != here or folder in kept]


def child_settings() -> dict[str, str]:
    """The environment variables with which Python processes, and those that they start, leave the directory out."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(search_path())}


def child_environment() -> dict[str, str]:
    """The environment of a process that raysweep starts."""
    return os.environ | child_settings()


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the block runs, for libraries that start processes themselves."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
