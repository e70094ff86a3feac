"""What a file of a store must be like to count: a name that raysweep gives, and rows that belong under this name.

Anything can lie in a folder: copies that a synchronising program has made, tables of other programs, files of a
stranger. Such a file is left out and named; nothing in it is used as a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.addresses import NAME, redacted

DAMAGE = (
    OSError,
    pa.ArrowException,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)
"""Errors that a file with any content can cause when it is read."""
MEMBERS_NAME = re.compile(r"[^\x00-\x1f/]+-[0-9a-f]{12}")
"""The form of the names of files of members: a study, which may come from a notebook, and a digest."""
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "trials": ("trial", "status"),
        "epochs": ("trial", "epoch"),
        "members": ("study", "variant", "trial", "seed", "protocol", "line", "baseline", "order", "recipe"),
        "init_stats": ("trial", "update", "depth"),
        "confusions": ("trial", "label", "predicted", "images"),
        "searches": ("search", "place"),
        "rankings": ("ranking", "architecture"),
    }
)
"""Folder -> columns without which a row means nothing."""
OWNERS: Mapping[str, str] = MappingProxyType(
    {
        "trials": "trial",
        "epochs": "trial",
        "init_stats": "trial",
        "confusions": "trial",
        "searches": "search",
        "rankings": "ranking",
    }
)
"""Folder -> the column that repeats the name of the file."""


TIMES = ("started_at", "updated_at", "finished_at")
"""Columns with times, of which a file can hold more than Python can represent."""


def is_ours(name: str) -> bool:
    """Whether a file `FOLDER/NAME`, with or without a suffix, has a name of the form that raysweep gives."""
    folder, _, stem = name.removesuffix(".parquet").removesuffix(".json").partition("/")
    return (MEMBERS_NAME if folder == "members" else NAME).fullmatch(stem) is not None


def check_rows(name: str, table: pa.Table) -> pa.Table:
    """The rows of a file, if they belong in it.

    Raises:
        ValueError: rows without a value that every row has, or of another file; text that is not UTF-8.
    """
    path = PurePosixPath(name)
    check_values(path.parent.name, table)
    owner = OWNERS.get(path.parent.name)
    others = set(table[owner].to_pylist()) - {path.stem} if owner else set()
    if others:
        raise ValueError(f"its rows are those of {min(others)!r}")
    return table


def check_values(kind: str, table: pa.Table) -> None:
    """Refuse rows that no raysweep writes.

    Raises:
        ValueError: a row without a value that every row has, an id or time that is none, or text that is not UTF-8.
    """
    table.validate(full=True)
    names = set(table.column_names)
    for column in names.intersection(NEEDED[kind]):
        if table[column].null_count:
            raise ValueError(f"it has rows without {column}")
    for column in names.intersection(TIMES):
        table[column].to_pylist()  # raises an error for a time that Python cannot represent
    for trial in set(table["trial"].to_pylist()) - {None} if "trial" in names else ():
        if not NAME.fullmatch(trial):
            raise ValueError(f"{trial!r} is no trial id")


def without_credentials(table: pa.Table) -> pa.Table:
    """The rows of trials without the credentials that error messages of earlier versions may hold."""
    if "error" not in table.column_names or not pc.any(pc.match_substring(table["error"], "://")).as_py():
        return table
    texts = [text and redacted(text) for text in table["error"].to_pylist()]
    return table.set_column(
        table.column_names.index("error"), table.schema.field("error"), pa.array(texts, pa.string())
    )
