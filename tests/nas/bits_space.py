"""A toy: find the string of ones. Real et al.'s reference notebook shows evolution on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.nas.space import Decision, Decisions


@dataclass(frozen=True)
class BitString(Decisions[str]):
    """Strings of so many zeros and ones; a mutation flips one of them."""

    length: int = 100

    @property
    def name(self) -> str:
        """Of the space."""
        return f"bits-{self.length}"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One a bit."""
        return (BIT,) * self.length

    def build(self, code: Sequence[int]) -> str:
        """The bits as a text."""
        return "".join(map(str, code))

    def encode(self, architecture: str) -> tuple[int, ...]:
        """The bits as numbers."""
        return tuple(map(int, architecture))

    def key(self, architecture: str) -> str:
        """The string itself."""
        return architecture


BIT = Decision("bit", ("0", "1"))
