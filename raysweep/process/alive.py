"""The identity of a process, by which another process on the same machine can tell whether it has ended."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def this_process() -> str:
    """The identity of this process: the boot of its machine, its namespaces, its id and start time.

    Empty on systems that do not tell; such a process is never known to have ended.
    """
    pid = os.getpid()
    machine, (state, start) = _machine(), _stat(pid)
    return f"{machine} {pid} {start}" if machine and state else ""


def has_ended(process: str) -> bool:
    """Whether a process is known to have ended: it ran on this machine, and is not there any more.

    False if it runs, or if this process cannot tell, e.g. because it runs on another machine or in another container.
    """
    machine, _, rest = process.partition(" ")
    pid, _, start = rest.partition(" ")
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    state, started = _stat(int(pid))
    return bool(state) and (state in "ZX" or started != start)  # a zombie, or another process with its id


def _machine() -> str:
    """The boot of this machine and the namespaces in which processes are counted; empty if unknown."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        links = [PROC / "self/ns" / kind for kind in ("pid", "time")]
        return "/".join([boot, *(str(link.readlink()) for link in links if link.is_symlink())])
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """The state and start time of a process; empty if unknown."""
    fields = stat_fields(pid)
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def stat_fields(pid: int) -> list[str]:
    """What Linux reports of a process (proc(5), `stat`), from its state on; empty if it has ended, or elsewhere."""
    try:
        # The name before it, in parentheses, may contain anything.
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
