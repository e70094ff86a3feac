"""Tables of paths and labels as text: CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.safe import printable
from raysweep.write.sources.base import MAX_ENCODED
from raysweep.write.sources.layout import listed
from raysweep.write.sources.open_image import open_regular
from raysweep.write.sources.parquet_columns import IMAGE_NAMES, LABEL_NAMES, Wanted
from raysweep.write.sources.walk import is_image

SUFFIXES = (".csv", ".tsv", ".jsonl")
IMAGES = (
    *IMAGE_NAMES,
    "file_name",
    "filename",
    "path",
    "image_path",
    "filepath",
    "image_id",
    "image_name",
    "file",
    "id",
)
LABELS = (*LABEL_NAMES, "class_name", "label_name", "class_id", "category_id", "species", "breed", "diagnosis", "y")
SPLITS = ("split", "subset", "partition", "set", "phase")
IS_TEST = ("is_valid", "is_val", "is_test")
"""Columns of truth values, as fastai has them."""
TRIED = 100
"""Number of rows that decide which column has the images."""
Row = Sequence[str]


@dataclass(frozen=True)
class Table:
    """The rows of a file, all as text."""

    name: str
    """The path relative to the folder of the set."""
    columns: tuple[str, ...]
    rows: Sequence[Row]

    def column(self, name: str) -> list[str]:
        """The values of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def is_table(name: str) -> bool:
    """Whether a file has the suffix of a table; Kaggle's sample submissions have labels that mean nothing."""
    path = PurePath(name.casefold())
    return path.suffix in SUFFIXES and "submission" not in path.stem


def read_table(root: Path, name: str) -> Table:
    """A table.

    Raises:
        RaysweepError: it is no text in UTF-8, or has no rows; names the line at fault.
    """
    shown = printable(name)
    try:
        with open_regular(root / name) as file:
            text = file.read(MAX_ENCODED).decode("utf-8-sig")
        rows = _json_rows(text) if name.casefold().endswith("l") else _csv_rows(text)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise RaysweepError(f"{shown} cannot be read as a table in UTF-8: {printable(str(error))}.") from None
    header, *body = [*rows] or [()]
    if not body:
        raise RaysweepError(f"{shown} has no rows.")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise RaysweepError(f"{shown}, row {number}: it has {len(row)} values for {len(header)} columns.")
    return Table(name, tuple(header), body)


def _csv_rows(text: str) -> Iterator[Row]:
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    for number, row in enumerate(row for row in rows if any(cell.strip() for cell in row)):
        cells = [cell.strip() for cell in row]
        if not number and any(map(is_image, cells)):  # no header: the first row names an image already
            yield [str(place) for place in range(1, len(cells) + 1)]
        yield cells


def _json_rows(text: str) -> Iterator[Row]:
    found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in found):
        raise ValueError("a line is no JSON object")
    columns = list(dict.fromkeys(key for row in found for key in row))
    yield columns
    for row in found:
        yield [_text(row.get(key)) for key in columns]


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Columns:
    """The columns of a table in use; `split` is empty without one."""

    image: str
    label: str
    split: str


def find_columns(table: Table, wanted: Wanted, is_file: Callable[[str], bool]) -> Columns:
    """The columns of images, labels and splits; `is_file` says whether a value names an image.

    Raises:
        RaysweepError: one is missing or ambiguous; lists the columns.
    """
    names = {name.strip().casefold(): name for name in reversed(table.columns)}
    able = [name for name in table.columns if _name_files(table.column(name)[:TRIED], is_file)]
    image = _one(table, "image", wanted.image, [[names[name]] for name in IMAGES if names.get(name) in able] + [able])
    split = next((names[name] for name in (*SPLITS, *IS_TEST) if name in names), "")
    rest = [name for name in table.columns if name not in (image, split) and name.strip()]
    label = _one(table, "label", wanted.label, [[names[name]] for name in LABELS if names.get(name) in rest] + [rest])
    return Columns(image, label, split)


def _name_files(values: Sequence[str], is_file: Callable[[str], bool]) -> bool:
    return 2 * sum(map(is_file, values)) > len(values)


def _one(table: Table, what: str, wanted: str | None, ways: Sequence[Sequence[str]]) -> str:
    if wanted is not None:
        if wanted not in table.columns:
            near = did_you_mean(wanted, table.columns)
            raise RaysweepError(f"{printable(table.name)} has no column {wanted!r}.{near}")
        return wanted
    found = next((names[0] for names in ways if len(names) == 1), None)
    if found is None:
        why = " whose values name image files next to it or in folders below" if what == "image" else ""
        raise RaysweepError(
            f"{printable(table.name)} has no column of {what}s{why}, or several. It has {listed(table.columns)}: "
            f"choose one with --{what}-column NAME."
        )
    return found


def is_true(value: str) -> bool:
    """Whether a truth value of a table is true."""
    return value.casefold() in ("true", "1", "yes", "1.0")
