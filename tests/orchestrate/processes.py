"""Processes of this machine, as Linux lists them."""

from __future__ import annotations

from pathlib import Path


def find_processes(name: str) -> set[int]:
    """Ids of the processes whose command line begins with a name."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(name.encode()):
                found.add(int(folder.name))
        except OSError:  # it has just ended
            continue
    return found


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
