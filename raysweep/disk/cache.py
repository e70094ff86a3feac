"""What is remembered on this machine between runs: small JSON files in the user's cache folder.

Nothing depends on them: without them things are computed or measured again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def recall(name: str) -> dict[str, Any]:
    """Everything remembered under a name, by key; nothing where there is no such file, or not a whole one."""
    try:
        return dict(json.loads(_path(name).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def remember(name: str, known: dict[str, Any]) -> None:
    """Replace what is remembered under a name; a folder that cannot be written is no error."""
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(known))
        whole.replace(path)
    except OSError:
        pass


def _path(name: str) -> Path:
    return cache_folder() / "raysweep" / f"{name}.json"
