"""The items of a source that its image set does not have, counted by reason. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.safe import printable

EXAMPLES = 3
"""Number of names that are kept for each reason."""


@dataclass(frozen=True)
class PassedOver:
    """The items that were passed over for one reason."""

    count: int
    examples: tuple[str, ...]
    """The names of the first few of them."""

    def text(self) -> str:
        """The names, and how many more there are."""
        more = self.count - len(self.examples)
        return ", ".join(self.examples) + (f" and {more:,} more" if more else "")


Account = Mapping[str, PassedOver]
"""What was passed over, by reason: a noun in the plural, such as `files with the suffix .txt`."""


class Tally:
    """Counts what is passed over while a source is read; the same order of items gives the same examples."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._found: dict[str, PassedOver] = {}

    def add(self, reason: str, name: str, count: int = 1) -> None:
        """Count an item, or several that one name stands for."""
        before = self._found.get(reason, PassedOver(0, ()))
        examples = before.examples if len(before.examples) >= EXAMPLES else (*before.examples, printable(name))
        self._found[reason] = PassedOver(before.count + count, examples)

    def account(self) -> dict[str, PassedOver]:
        """The counts and examples, sorted by reason."""
        return dict(sorted(self._found.items()))


def lines(account: Account) -> Iterator[str]:
    """A line for each reason: the number of items and the examples."""
    for reason, items in account.items():
        yield f"{reason}: {items.count:,} ({items.text()})"


def read_account(value: Mapping[str, Mapping[str, Any]] | None) -> Account | None:
    """The account in a manifest; None for sets that were written before there was one.

    Raises:
        TypeError, AttributeError: it has another form.
    """
    if value is None:
        return None
    return {reason: PassedOver(int(items["count"]), _texts(items["examples"])) for reason, items in value.items()}


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(str, values))
