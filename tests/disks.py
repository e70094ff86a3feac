"""Small file systems, for what happens when they are full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A folder in memory that holds so much, as `mount` writes sizes; the test is skipped where none may be mounted."""
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file or folder belong to another user; without the right to do so, let this process be another user."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        other = path.stat().st_uid + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
