"""Where results come from: commit, versions, machine."""

from __future__ import annotations

import json
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numba", "numpy", "ffcv", "pyarrow", "ray", "torchvision")


@cache
def provenance() -> dict[str, Any]:
    """The provenance columns of a trial that do not depend on its device. The packages are not imported."""
    commit, dirty = git_state(Path(__file__).resolve().parents[2])
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "raysweep_version": version("raysweep"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "versions": json.dumps({package: version(package) for package in PACKAGES}),
        "host": platform.node(),
    }


def described_commit() -> str:
    """The commit of the checkout, or the version of raysweep outside a checkout."""
    row = provenance()
    changed = " with changes" if row["git_dirty"] else ""
    return f"{row['git_commit']}{changed}" if row["git_commit"] else f"raysweep {row['raysweep_version']}"


def version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """The commit of a checkout and whether tracked files differ from it; None for both elsewhere."""
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *words: str) -> str:
    # Without optional locks `git status` does not rewrite the index, which a user's own `git` may hold at that moment.
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
