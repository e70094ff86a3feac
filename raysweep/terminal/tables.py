"""Tables as the terminal shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from raysweep.safe import printable

LEAST = 12
"""Characters that the last column of a table keeps, however wide the others are."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> str:
    """Columns padded to their widest entry, two spaces apart; every entry is one line, on a terminal and in a pipe.

    With a `width` the last column is wrapped so that lines have at most that many characters.
    """
    lines = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    if width is not None:
        left = width - sum(max(len(line[column]) for line in lines) + 2 for column in range(len(header) - 1))
        lines = [wrapped for line in lines for wrapped in _wrapped(line, max(LEAST, left))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _wrapped(line: Sequence[str], width: int) -> Iterator[list[str]]:
    """A row with its last cell wrapped, as rows of which the later ones have only that cell."""
    first, *more = wrapped(line[-1], width) or [""]
    yield [*line[:-1], first]
    for text in more:
        yield [*[""] * (len(line) - 1), text]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; longer words break after a comma or equals sign if they have one."""
    lines: list[str] = []
    for word in printable(text).split():
        long = len(word) > width
        parts = re.findall(rf"[^,=]{{1,{width - 1}}}[,=]?|[,=]", word) if long else [word]
        for number, part in enumerate(parts):
            space = "" if number else " "
            if lines and not (long and number == 0) and len(lines[-1] + space + part) <= width:
                lines[-1] += space + part
            else:
                lines.append(part)
    return lines
