"""The user's cache folder, with small JSON files that remember results between runs.

Nothing depends on them: without them, results are computed or measured again.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.disk.private import own_folder, private_folder
from raysweep.disk.whole import write_whole


def cache_folder() -> Path:
    """The folder of raysweep in the user's cache; without a home, or one that can be written, among temporary files.

    Raises:
        OSError: no folder can be written.
    """
    try:
        return private_folder(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raysweep")
    except (OSError, RuntimeError):
        return _temporary()


def ensure_home() -> None:
    """Give this process and its children a home if it has none, and matplotlib a cache if the home cannot be written.

    Ray cannot be imported without a home, as in a container with any user id.
    """
    with suppress(OSError):
        try:
            home = Path.home()
        except RuntimeError:
            home = _temporary()
            os.environ["HOME"] = str(home)
        if not os.access(home, os.W_OK):
            os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))


@cache
def _temporary() -> Path:
    return own_folder([Path(tempfile.gettempdir())])


def recall(name: str) -> dict[str, Any]:
    """Everything stored under a name, by key; empty if its file is missing or damaged."""
    try:
        return dict(json.loads(_path(name).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def remember(name: str, known: dict[str, Any]) -> None:
    """Replace what is stored under a name. A folder that is missing or cannot be written is no error."""
    with suppress(OSError):
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(known), sync=False)


def _path(name: str) -> Path:
    return cache_folder() / f"{name}.json"
