"""Shortages of memory on a node, as Ray reports them when it kills processes there: who has taken the memory."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from raysweep.errors import RAY_KILLED

_NODE = re.compile(r"\(IP: ([^,)]+).*?was ([\d.]+)GB used / ([\d.]+)GB limit", re.DOTALL)
_VICTIM = re.compile(r"Selected to kill: .*?actual memory used=([\d.]+)GB")
_USER = re.compile(r"^\d+\t([\d.]+)\t(.*)$", re.MULTILINE)
_RAYS = "ray::"
"""The beginning of the names of Ray's worker processes."""


@dataclass(frozen=True)
class Shortage:
    """One report: the node, its memory in GB, and how much of it whom Ray killed and the largest processes had."""

    node: str
    used: float
    total: float
    victims: tuple[float, ...]
    users: tuple[tuple[float, str], ...]
    """Memory and command of the largest processes, the largest one first."""

    @property
    def is_others(self) -> bool:
        """Whether other programs have more of the memory than Ray's workers: the killed trial is not to blame."""
        rays = sum(memory for memory, command in self.users if command.startswith(_RAYS))
        return self.used - rays > rays

    @property
    def text(self) -> str:
        """The report in one line."""
        free = max(0.0, self.total - self.used)
        most, command = self.users[0] if self.users else (0.0, "unknown")
        command = textwrap.shorten(command, 60, placeholder=" ...")
        return (
            f"Ray killed {len(self.victims)} process(es) with {sum(self.victims):.1f} GB because node {self.node} ran "
            f"out of memory ({free:.1f} of {self.total:.1f} GB free, most taken by `{command}`: {most:.1f} GB)"
        )


def find_shortage(error: str) -> Shortage | None:
    """The report of a shortage in the text of an error."""
    if RAY_KILLED not in error or (node := _NODE.search(error)) is None:
        return None
    users = tuple((float(memory), command.strip()) for memory, command in _USER.findall(error))
    victims = tuple(map(float, _VICTIM.findall(error)))
    return Shortage(node[1], float(node[2]), float(node[3]), victims, users)


def starved(error: str) -> bool:
    """Whether a process was killed because other programs took the memory of its node, through no fault of its own."""
    found = find_shortage(error)
    return found is not None and found.is_others
