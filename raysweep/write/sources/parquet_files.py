"""The Parquet files of a set, and the splits in their paths, such as `data/train-00000-of-00002.parquet`."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.split_names import role, split_in
from raysweep.write.sources.walk import entries, files_below, is_folder, is_image, service, unreadable

SUFFIXES = (".parquet", ".parq", ".pq")
MAGIC = b"PAR1"
"""The first bytes of a Parquet file."""
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?!\d)")


@dataclass(frozen=True)
class Table:
    """A Parquet file."""

    path: Path
    name: str
    """The path relative to the folder of the set."""
    split: str
    """The name of a split in it, or empty."""
    folder: str
    """The folder, relative to that of the set, of the files or folders that are named after splits."""

    def __str__(self) -> str:
        """The path, for messages."""
        return printable(str(self.path))


def is_set(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder with such files and without class folders.

    Raises:
        RaysweepError: it cannot be read.
    """
    try:
        if path.is_dir():
            return not _has_class_folders(path) and any(map(_is_table, files_below(path)))
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC or _is_table(path.name)
    except OSError as error:
        raise unreadable(error) from None


def _has_class_folders(root: Path) -> bool:
    """Whether the folder of a training split has a folder of images."""
    splits = [entry for entry in entries(root) if role(entry.name) == "train" and is_folder(entry)]
    folders = (entry for split in splits for entry in entries(split.path) if is_folder(entry))
    below = (files_below(Path(folder.path)) for folder in folders if not service(folder.name, True))
    return any(map(is_image, chain.from_iterable(below)))


def _is_table(name: str) -> bool:
    return name.casefold().endswith(SUFFIXES) and not _service(name)


def _service(name: str) -> str:
    """The reason why a file with this path is passed over whatever it holds; otherwise empty."""
    *folders, file = PurePath(name).parts
    reasons = [*(service(folder, True) for folder in folders), service(file, False)]
    return next(filter(None, reasons), "")


def find_tables(root: Path, tally: Tally) -> list[Table]:
    """The Parquet files in a folder and below, sorted by path, or the one file; other files are counted."""
    if not root.is_dir():
        return [located(root, root.name)]
    tables = []
    for name in sorted(files_below(root), key=lambda name: os.fsencode(name).split(b"/")):
        path = root / name
        if not _is_table(name):
            tally.add(_service(name) or "files beside the Parquet files", name)
        elif path.exists() and not path.is_file():
            tally.add("FIFOs, sockets and devices", name)
        else:
            tables.append(located(path, name))
    return tables


def located(path: Path, name: str) -> Table:
    """A file with the split that its own name or the nearest folder has."""
    *folders, file = PurePath(printable(name)).parts
    if split := split_in(PurePath(file).stem):
        return Table(path, printable(name), split, "/".join(folders))
    for depth in reversed(range(len(folders))):
        if split := split_in(folders[depth]):
            return Table(path, printable(name), split, "/".join(folders[:depth]))
    return Table(path, printable(name), "", "/".join(folders))


def check_one_set(tables: Sequence[Table], root: Path) -> None:
    """Refuse the files of several sets, whose images may be the same.

    Raises:
        RaysweepError: names their folders.
    """
    folders = sorted({table.folder for table in tables})
    if len(folders) > 1:
        names = ", ".join(name or "." for name in folders[:5]) + (" ..." if len(folders) > 5 else "")
        raise RaysweepError(
            f"{_shown(root)} has {len(folders)} folders with splits of their own: {names}. They may be several sets, "
            f"or hold the same images: give one of them, such as {_shown(root / folders[-1])}."
        )


def check_shards(tables: Sequence[Table], tally: Tally) -> None:
    """Count missing shards, and refuse shards of two uploads, which have the same images.

    Raises:
        RaysweepError: names two such files.
    """
    shards: dict[str, dict[int, Table]] = defaultdict(dict)
    totals: dict[str, tuple[int, Table]] = {}
    for table in tables:
        if not (found := SHARD.search(table.name)):
            continue
        name, number, total = table.name[: found.start()], int(found[1]), int(found[2])
        before = shards[name].get(number)
        if totals.setdefault(name, (total, table))[0] != total:
            before = totals[name][1]
        if before:
            raise RaysweepError(
                f"{before} and {table} are shards of two uploads of one split, which have the same images: "
                "remove the older ones."
            )
        shards[name][number] = table
    for name, numbers in shards.items():
        total = totals[name][0]
        missing = [number for number in range(total) if number not in numbers]
        if missing:
            tally.add("missing shards", f"{name}-{missing[0]:05}-of-{total:05}.parquet", len(missing))


def _shown(path: Path) -> str:
    return printable(str(path))
