"""A Ray of this machine for one sweep: reached by nobody else, and needing neither a home folder nor the network.

It listens on the loopback interface, requires a token of its own, and keeps its sockets and logs in a folder that no
other user can enter.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raysweep.disk.private import own_folder
from raysweep.errors import RaysweepError

SOCKET = f"/raysweep-{os.geteuid()}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
LONGEST = 107 - len(SOCKET)
"""Bytes of the longest folder name with which the system accepts the names of Ray's sockets in it."""
PRIVATE = "RAYSWEEP_PRIVATE_FOLDER"
"""Environment variable of a local Ray's processes: the folder that no other user can enter."""
LOOPBACK_OF_TORCH = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""Environment variables with which the workers of a trial reach each other on this machine only."""
SHORT = ("/tmp", "/var/tmp", "/dev/shm")
"""Folders for temporary files whose names are short, tried if that of TMPDIR is too long or cannot be written."""


@dataclass(frozen=True)
class LocalRay:
    """Where a local Ray keeps its files, and the environment that it and its driver need."""

    folder: Path
    token: Path | None
    """The file with its token; none if the user has disabled tokens."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables of Ray."""
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)} if self.token else {}
        # Ray's helpers have sockets among their temporary files too.
        temporary = {} if _is_short(Path(tempfile.gettempdir())) else {"TMPDIR": str(self.folder)}
        return {PRIVATE: str(self.folder), **LOOPBACK_OF_TORCH, **token, **temporary}


@contextmanager
def local_ray() -> Iterator[LocalRay]:
    """Prepare a folder and a token; the token is removed at the end, the logs stay.

    Raises:
        RaysweepError: there is no folder for temporary files that Ray can use.
    """
    folder = ray_folder()
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        yield LocalRay(folder, None)
        return
    token = folder / f"token-{os.getpid()}-{secrets.token_hex(4)}"
    token.touch(0o600, exist_ok=False)
    token.write_text(secrets.token_hex(32))
    try:
        yield LocalRay(folder, token)
    finally:
        token.unlink(missing_ok=True)


def ray_folder() -> Path:
    """This user's folder for Ray's sockets and logs.

    Raises:
        RaysweepError: no folder for temporary files is both writable and short enough.
    """
    wanted = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    folders = [Path(wanted), *map(Path, SHORT)]
    try:
        return own_folder(filter(_is_short, folders))
    except OSError as error:
        raise RaysweepError(
            f"Ray needs a folder for sockets and logs whose name has at most {LONGEST} characters, but none of "
            f"{', '.join(map(str, folders))} can be used ({error}): set TMPDIR to one that you can write to."
        ) from error


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder)) <= LONGEST
