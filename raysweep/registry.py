"""Name -> factory with one sentence and the paper it comes from; listable, with did-you-mean on unknown names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.errors import unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered thing: its name, how to make it, what it is in a sentence, where it comes from."""

    name: str
    make: T
    summary: str
    paper: str


class Registry(Generic[T]):
    """The known things of one kind. `add` is a decorator; `entry` raises an error that lists near names."""

    def __init__(self, kind: str, see: str = "") -> None:
        """`kind` in the singular, for messages; `see` the command that lists the entries."""
        self.kind = kind
        self.see = see
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, summary: str, paper: str = "") -> Callable[[T], T]:
        """Register the decorated factory under `name`; a name is taken once."""

        def register(make: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Entry(name, make, summary, paper)
            return make

        return register

    def entry(self, name: str) -> Entry[T]:
        """The entry of that name.

        Raises:
            RaysweepError: no such name; the message holds the nearest ones.
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
