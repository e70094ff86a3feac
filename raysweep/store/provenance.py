"""Where a number comes from: commit, versions, machine."""

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
    """The provenance columns of a trial's row that do not depend on its device; loads none of the packages."""
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
    """The commit that runs, or the version where it does not run from a checkout."""
    row = provenance()
    changed = " with changes" if row["git_dirty"] else ""
    return f"{row['git_commit']}{changed}" if row["git_commit"] else f"raysweep {row['raysweep_version']}"


def version(package: str) -> str | None:
    """The installed version of a package, if it is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and whether tracked files differ from it; nothing where the folder is not the root of a git checkout."""
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
