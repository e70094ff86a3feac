"""Text that others wrote, such as the name of a file or an error, made safe for the medium that it is written to.

Names come from image sets, from stores and from users' own studies. Whatever they hold is shown and never acted upon:
not by a terminal, a browser, LaTeX, a spreadsheet or a shell.
"""

from __future__ import annotations

import csv
import html
import io
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable

_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"−": "$-$", "±": r"$\pm$", "–": "--"},
}


def printable(text: str) -> str:
    r"""One line that shows every character: those that are invisible or move the cursor are escaped, as in `\x1b`.

    These are line breaks, control characters, marks of writing direction, and bytes of a file's name that are not text.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(one: str) -> str:
    visible = one.isprintable() or unicodedata.category(one) == "Zs"
    return one if visible else one.encode("unicode_escape").decode("ascii")


def note_lines(text: str) -> str:
    """A message of one line or more, with the later ones indented, so that a name cannot forge a message of its own."""
    return "\n    ".join(map(printable, text.rstrip("\n").split("\n")))


def html_text(text: str) -> str:
    """Text for HTML and XML."""
    return html.escape(printable(text))


def markdown_text(text: str) -> str:
    """Text for a paragraph or a table of Markdown, in which it is neither HTML nor markup."""
    return _MARKDOWN.sub(r"\\\g<0>", _ENTITY.sub("&amp;", printable(text)).replace("<", "&lt;"))


def markdown_code(text: str) -> str:
    """A code span of Markdown, outside tables."""
    shown = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " * (shown.startswith("`") or shown.endswith("`"))
    return f"{fence}{pad}{shown}{pad}{fence}"


def latex_text(text: str) -> str:
    r"""Text for LaTeX. After `\\` a bracket or star would belong to that command, so braces precede it."""
    shown = "".join(_LATEX.get(one, one) for one in printable(text))
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


def csv_text(text: str) -> str:
    """Text for a cell of CSV: spreadsheets compute what begins like a formula, so an apostrophe precedes it (OWASP)."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def csv_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, with every text as `csv_text` makes it, and nothing for None."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_csv_cell(cell) for cell in row] for row in (header, *rows))
    return out.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return csv_text(value) if isinstance(value, str) else value


def command(*words: object) -> str:
    """A command to be pasted into a shell, with its words quoted where they need it."""
    return " ".join(map(_quoted, map(str, words)))


def _quoted(word: str) -> str:
    """A word as a shell reads it; one that cannot be printed as it is needs the escapes of bash and zsh."""
    if printable(word) == word:
        return shlex.quote(word)
    return f"$'{''.join(map(_byte, os.fsencode(word)))}'"


def _byte(value: int) -> str:
    return chr(value) if 32 <= value < 127 and chr(value) not in "\\'" else f"\\x{value:02x}"
