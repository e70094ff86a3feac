"""Registries: named factories, each with a sentence and the paper it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.errors import unknown

T = TypeVar("T")
Owner = tuple[str, str]
"""Name and digest of a user's file."""
_code: ContextVar[Owner | None] = ContextVar("code", default=None)
own_parts: dict[tuple[str, str], Owner] = {}
"""Kind and name of a part that a user's file has registered -> the file."""


@contextmanager
def loading(file: str, digest: str) -> Iterator[None]:
    """Whatever is registered in the block belongs to the user's file of that name and digest."""
    token = _code.set((file, digest))
    try:
        yield
    finally:
        _code.reset(token)


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
            owner, part = _code.get(), (self.kind, name)
            replaces = owner is not None and part in own_parts and own_parts[part][0] == owner[0]  # an edited file
            if name in self._entries and not replaces:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            if owner:
                own_parts[part] = owner
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
