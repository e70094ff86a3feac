"""Registries: named factories, each with a sentence and the paper it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.errors import unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered factory, its description and its source."""

    name: str
    make: T
    summary: str
    paper: str


class Registry(Generic[T]):
    """All registered entries of one kind. `add` is a decorator."""

    def __init__(self, kind: str, see: str = "") -> None:
        """An empty registry.

        Args:
            kind: The kind of entry in the singular, for messages.
            see: The command that lists the entries.
        """
        self.kind = kind
        self.see = see
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, summary: str, paper: str = "") -> Callable[[T], T]:
        """Register the decorated factory under a name that is not taken yet."""

        def register(make: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Entry(name, make, summary, paper)
            return make

        return register

    def entry(self, name: str) -> Entry[T]:
        """The entry of that name.

        Raises:
            RaysweepError: no such name; the message lists the nearest ones.
        """
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries, self.see)
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        return self.entry(name).make

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
