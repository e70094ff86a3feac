"""How long a gang waits before it starts again, and when it, a node or the whole sweep is given up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raysweep.orchestrate.leases import Member

MAX_CRASHES = 3
"""A gang is given up after more than this many crashes in a row with no trial taken in between."""
PAUSE_S, LONGEST_PAUSE_S = 5.0, 30.0
"""The pause before the second start in a row grows with each further one: Ray detects a dead node with a delay."""
LONGEST_SHORTAGE_PAUSE_S = 120.0
"""The pause after a gang was killed for memory that other programs took; it doubles from PAUSE_S up to this."""
CALM_S = 600.0
"""A shortage is over if a gang has trained for this long."""
SHORTAGE_S = 1800.0
"""How long such a shortage may last, with nothing trained anywhere, before the sweep ends."""
AVOID_S = 600.0
"""How long a node gets no gang after one was given up there; doubled each time that this happens again."""


@dataclass
class _Avoided:
    """A node on which gangs could not be started."""

    times: int = 0
    until: float = 0.0


class Restarts:
    """What the pool knows about the restarts of its gangs. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.short_since = math.inf
        """When the first gang was killed for memory that other programs took, if none has trained since."""
        self._avoided: dict[str, _Avoided] = {}

    @property
    def avoided(self) -> frozenset[str]:
        """Nodes that get no new gang at the moment."""
        return frozenset(node for node, avoided in self._avoided.items() if avoided.until > self.clock())

    def trained(self, member: Member) -> None:
        """Note that a gang has ended an epoch, or trained for long: it has the memory that it needs."""
        member.kills, self.short_since = 0, math.inf

    def started(self, member: Member) -> None:
        """Note that a gang takes a trial, so that its nodes are usable."""
        member.setbacks.clear()
        for node in member.nodes:
            self._avoided.pop(node, None)

    def killed(self, member: Member) -> float:
        """Count a kill for memory that other programs took; returns the pause before the next start."""
        if self.clock() - member.taken > CALM_S:
            self.trained(member)
        member.kills += 1
        member.taken = math.inf
        self.short_since = min(self.short_since, self.clock())
        return min(PAUSE_S * 2.0 ** (member.kills - 1), LONGEST_SHORTAGE_PAUSE_S)

    def crashed(self, member: Member, loss: bool) -> float:
        """Count any other crash; returns the pause before the next start."""
        member.setbacks.add(loss)
        return min(PAUSE_S * (member.setbacks.faults + member.setbacks.losses - 1), LONGEST_PAUSE_S)

    def is_too_short(self) -> bool:
        """Whether a shortage of memory has lasted too long."""
        return self.clock() - self.short_since > SHORTAGE_S

    def avoid(self, nodes: Iterable[str]) -> float:
        """Start no gang on these nodes for a while; returns the longest time, in seconds."""
        times_s = [0.0]
        for node in nodes:
            avoided = self._avoided.setdefault(node, _Avoided())
            times_s.append(AVOID_S * 2.0**avoided.times)
            avoided.times += 1
            avoided.until = self.clock() + times_s[-1]
        return max(times_s)
