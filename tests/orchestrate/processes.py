"""Processes that tests start and interrupt, and those of this machine, as Linux lists them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any


def let_ctrl_c_through() -> None:
    """For `preexec_fn`: a shell's background job ignores SIGINT, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process with pipes for its outputs; killed at the end of the block."""
    outputs: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, preexec_fn=let_ctrl_c_through, **outputs, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def find_processes(name: str) -> set[int]:
    """Ids of our own processes whose command line begins with a name; other clusters may run on the machine."""
    found = set()
    for process in find_descendants(os.getpid()):
        try:
            if (Path("/proc") / str(process) / "cmdline").read_bytes().startswith(name.encode()):
                found.add(process)
        except OSError:  # it has just ended
            continue
    return found


def kill(*processes: int) -> None:
    """kill -9, unless they have just ended."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def find_descendants(ancestor: int) -> set[int]:
    """Ids of a process's children, their children, and so on."""
    parents = _parents()
    family = {ancestor}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {ancestor}


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name in brackets may hold anything; the state and the parent's id come after it.
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    return found


def find_listening(process: int) -> set[IPv4Address | IPv6Address]:
    """The addresses on which a process can be reached."""
    try:
        files = {file.readlink().name for file in (Path("/proc") / str(process) / "fd").iterdir()}
    except OSError:  # it has just ended
        return set()
    found = set()
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            (
                _,
                local,
                _,
                state,
                *_,
            ) = fields = line.split()
            if state == "0A" and f"socket:[{fields[9]}]" in files:
                words = bytes.fromhex(local.partition(":")[0])  # each of four bytes, the last one first
                found.add(ip_address(b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))))
    return found
