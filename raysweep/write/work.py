"""What a worker does with some images of a split; it is pickled and sent to a worker together with access to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.write.sources.base import Read

Result = TypeVar("Result")


@dataclass(frozen=True)
class Work(ABC, Generic[Result]):
    """Images of one split, and what to do with them."""

    split: str
    indices: Sequence[int]

    @abstractmethod
    def do(self, read: Read) -> Result:
        """Do it; one image that cannot be used is part of the result."""

    @abstractmethod
    def lost(self, reason: str) -> Result:
        """The result for a single image that ends the worker."""

    @abstractmethod
    def joined(self, parts: Sequence[Result]) -> Result:
        """The result of several parts, at least one."""
