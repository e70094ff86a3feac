"""Folders that belong to this user alone, for files whose content is trusted: tokens, compiled code, decoded pixels.

In folders that everybody can write to, such as /tmp and /dev/shm, another user may have taken a name first.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Create the folder if it is missing, and close it to all other users.

    Raises:
        PermissionError: it is a link, or it belongs to another user.
        OSError: it cannot be created, or nothing can be written there.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(0, "it is a link, a file, or belongs to another user", str(path))
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(0, "it cannot be written", str(path))
    return path


def is_ours(path: Path) -> bool:
    """Whether a file, not the target of a link, was written by this user or root.

    Raises:
        OSError: it cannot be examined.
    """
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid())


def is_trusted(path: Path) -> bool:
    """Whether nobody but this user and root can change what is in a folder; it is created if it is missing.

    Raises:
        OSError: it cannot be created.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    return found.st_uid in (0, os.geteuid()) and not stat.S_IMODE(found.st_mode) & 0o022


def own_folder(parents: Iterable[Path]) -> Path:
    """This user's folder in the first of the parents that allows one; a new one, if another user has taken its name.

    Raises:
        OSError: none of them can be written.
    """
    refused: OSError = FileNotFoundError(0, "there is no folder for temporary files")
    for parent in parents:
        try:
            with suppress(PermissionError):
                return private_folder(parent / f"raysweep-{os.geteuid()}")
            return Path(tempfile.mkdtemp(prefix=f"raysweep-{os.geteuid()}-", dir=parent))
        except OSError as error:
            refused = error
    raise refused
