"""The Parquet files of a set, and the splits in their paths, such as `data/train-00000-of-00002.parquet`."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.write.sources.split_names import TRAIN_NAMES, split_in

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


def is_set(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder with such files and without class folders."""
    if not path.is_dir():
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC or path.name.casefold().endswith(SUFFIXES)
    return not has_class_folders(path) and any(map(_is_table, files_below(path)))


def has_class_folders(root: Path) -> bool:
    """Whether the folder of a training split has a folder without Parquet files."""
    splits = [path for path in root.iterdir() if split_in(path.name) in TRAIN_NAMES and path.is_dir()]
    folders = [path for split in splits for path in split.iterdir() if path.name[0] != "." and path.is_dir()]
    return any(not any(map(_is_table, files_below(folder))) for folder in folders)


def _is_table(name: str) -> bool:
    parts = PurePath(name).parts
    return name.casefold().endswith(SUFFIXES) and not any(part.startswith(".") for part in parts)


def find_tables(root: Path, tally: Tally) -> list[Table]:
    """The Parquet files in a folder and below, sorted by path, or the one file."""
    if not root.is_dir():
        return [_table(root, root.name)]
    tables = []
    for name in sorted(files_below(root), key=lambda name: PurePath(name).parts):
        if _is_table(name):
            tables.append(_table(root / name, name))
        elif name.casefold().endswith(SUFFIXES):
            tally.add("hidden files", name)
        elif ".parquet." in name.casefold():
            tally.add(f"files with the suffix {PurePath(name).suffix}", name)
    return tables


def files_below(root: Path) -> Iterator[str]:
    """The paths of the files below a folder, relative to it; links to folders are followed, once each."""
    seen = set()
    for parent, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        yield from (os.path.relpath(f"{parent}/{file}", root) for file in files)


def _refuse(error: OSError) -> None:
    raise RaysweepError(f"{error.filename} cannot be read: {error.strerror}.") from None


def _table(path: Path, name: str) -> Table:
    name = os.fsencode(name).decode(errors="replace")
    *folders, file = PurePath(name).parts
    if split := split_in(PurePath(file).stem):
        return Table(path, name, split, "/".join(folders))
    for depth in reversed(range(len(folders))):
        if split := split_in(folders[depth]):
            return Table(path, name, split, "/".join(folders[:depth]))
    return Table(path, name, "", "/".join(folders))


def check_one_set(tables: Sequence[Table], root: Path) -> None:
    """Refuse the files of several sets, whose images may be the same.

    Raises:
        RaysweepError: names their folders.
    """
    folders = sorted({table.folder for table in tables})
    if len(folders) > 1:
        names = ", ".join(name or "." for name in folders[:5]) + (" ..." if len(folders) > 5 else "")
        raise RaysweepError(
            f"{root} has {len(folders)} folders with splits of their own: {names}. They may be several sets, or hold "
            f"the same images: give one of them, such as {root / folders[-1]}."
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
                f"{before.path} and {table.path} are shards of two uploads of one split, which have the same images: "
                "remove the older ones."
            )
        shards[name][number] = table
    for name, numbers in shards.items():
        total = totals[name][0]
        missing = [number for number in range(total) if number not in numbers]
        if missing:
            tally.add("missing shards", f"{name}-{missing[0]:05}-of-{total:05}.parquet", len(missing))
