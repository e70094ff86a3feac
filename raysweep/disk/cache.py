"""Small JSON files in the user's cache folder that remember results between runs.

Nothing depends on them: without them, results are computed or measured again.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from raysweep.disk.whole import write_whole


def cache_folder() -> Path:
    """The user's cache folder.

    Raises:
        RuntimeError: the user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def recall(name: str) -> dict[str, Any]:
    """Everything stored under a name, by key; empty if its file is missing or damaged."""
    try:
        return dict(json.loads(_path(name).read_text()))
    except (OSError, ValueError, TypeError, RuntimeError):
        return {}


def remember(name: str, known: dict[str, Any]) -> None:
    """Replace what is stored under a name. A folder that is missing or cannot be written is no error."""
    with suppress(OSError, RuntimeError):
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(known), sync=False)


def _path(name: str) -> Path:
    return cache_folder() / "raysweep" / f"{name}.json"
