"""Which folders of a set are its splits and its classes, and the next step for a set that lacks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import alike
from raysweep.write.sources.split_names import TEST_NAMES, role
from raysweep.write.sources.walk import IMAGE_SUFFIXES, Walk, entries, is_folder, is_lost, lost, service, suffix

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl")
NOTE_SUFFIXES = (*TABLE_SUFFIXES, ".txt", ".json", ".mat", ".xml")
LISTED = 5
FORM = "train/CLASS/*.jpg and val/CLASS/*.jpg"

Classes = Mapping[str, Sequence[str]]
"""The class folders of `train` and `test`."""


def choose_splits(root: Path) -> dict[str, str]:
    """The names of the folders that are used as `train` and `test`.

    Raises:
        RaysweepError: one of them is missing, has no class folders, or is there twice.
        OSError: a folder cannot be read.
    """
    names = _split_folders(root)
    if not names["train"] or not names["test"]:
        raise _without_splits(root, names)
    tests = [name for name in names["test"] if has_classes(root / name)] or names["test"]
    used = {"train": names["train"][0], "test": tests[0]}
    for several in (names["train"], [name for name in tests if role_order(name) == role_order(tests[0])]):
        if len(several) > 1:
            raise RaysweepError(
                f"{_shown(root)} has several folders for one split: {listed(several)}. Merge them, or rename one."
            )
    for name in used.values():
        if not has_classes(root / name):
            raise _without_classes(root, name)
    return used


def _split_folders(root: Path) -> dict[str, list[str]]:
    """The folders that have the name of a split, by their role; those for testing in the order of preference."""
    found: dict[str, list[str]] = {"train": [], "test": []}
    for entry in entries(root):
        if (part := role(entry.name)) and is_lost(entry):
            raise lost(entry)
        if part and is_folder(entry):
            found[part].append(entry.name)
    return found | {"test": sorted(found["test"], key=role_order)}


def role_order(name: str) -> int:
    """The place of a folder for testing in the order of preference, whatever its capitals."""
    return TEST_NAMES.index(name.strip().casefold())


def has_classes(folder: Path) -> bool:
    """Whether a folder has folders of classes."""
    return any(is_folder(entry) and not service(entry.name, True) for entry in entries(folder))


def check_same_classes(root: Path, used: Mapping[str, str], classes: Classes) -> None:
    """Refuse splits with different classes, and a single class with a table that may have the labels.

    Raises:
        RaysweepError: names the folders and the classes, and what may be the cause.
    """
    for here, there in (("train", "test"), ("test", "train")):
        if missing := [name for name in classes[here] if name not in set(classes[there])]:
            raise RaysweepError(
                f"{_shown(root / used[here])} has classes that {_shown(root / used[there])} lacks: {listed(missing)}. "
                f"{_cause(root, used, classes, missing)}"
            )
    if len(classes["train"]) == 1 and (tables := _files(root, ["", *used.values()], TABLE_SUFFIXES)):
        raise RaysweepError(
            f"{_shown(root)} has one folder of images, {listed(classes['train'])}, and {listed(tables)}: with one "
            f"class, every network is always right. If the labels are in that file, move the images to {FORM} by them; "
            "otherwise remove it."
        )


def _cause(root: Path, used: Mapping[str, str], classes: Classes, missing: Sequence[str]) -> str:
    if pairs := alike([*classes["train"], *classes["test"]]):
        return f"Their names differ only in capitals or in the form of accents: {listed(pairs)}. Rename them."
    advice = "Both need the same class folders; in the test split they may be empty."
    if tables := _files(root, used.values(), NOTE_SUFFIXES):
        advice += f" If the labels are in {listed(tables)}, move the images to the folders of their classes by them."
    return advice


def count_rest(walk: Walk, used: Mapping[str, str]) -> tuple[str, ...]:
    """Count everything in the root besides the splits that are used; returns a note on what is used if it may surprise.

    Raises:
        OSError: the root cannot be read.
    """
    unused = []
    for entry in entries(walk.root):
        is_dir = entry.is_dir(follow_symlinks=False)
        if is_folder(entry) and entry.name in used.values():
            continue
        if is_folder(entry) and role(entry.name):
            unused.append(entry.name)
        reason = service(entry.name, is_dir)
        if not is_dir:
            kind = "links" if is_folder(entry) else "files"
            walk.tally.add(reason or f"{kind} beside the splits", entry.name)
        elif role(entry.name):
            walk.count_all(entry.name, f"files in {printable(entry.name)}, a split that is not used")
        else:
            walk.count_all(entry.name, reason or "files in folders that are no splits")
    if not unused and set(used.values()) == {"train", "val"}:
        return ()
    rest = f"; {listed(unused)} is not used" if unused else ""
    return (f"{printable(used['train'])} is used for training, {printable(used['test'])} for testing{rest}",)


def _without_classes(root: Path, split: str) -> RaysweepError:
    images = sum(suffix(entry.name) in IMAGE_SUFFIXES for entry in entries(root / split))
    tables = _files(root, ["", split], NOTE_SUFFIXES)
    labels = f" If their classes are in {listed(tables)}, sort them by it." if tables else ""
    count = "1 image" if images == 1 else f"{images:,} images"
    return RaysweepError(
        f"{_shown(root / split)} has {count} but no class folders: move each to {printable(split)}/CLASS.{labels}"
    )


def _without_splits(root: Path, names: Mapping[str, Sequence[str]]) -> RaysweepError:
    content = [entry for entry in entries(root) if not entry.name.startswith(".")]
    folders = [entry.name for entry in content if is_folder(entry)]
    files = [entry.name for entry in content if not is_folder(entry)]
    found = [f"{kind} {listed(part)}" for kind, part in (("folders", folders), ("files", files)) if part]
    missing = "val" if names["train"] else "train"
    return RaysweepError(
        f"{_shown(root)} is not a set of class folders: it has no {missing}/CLASS/*.jpg, only "
        f"{' and '.join(found) or 'nothing'}. A set needs {FORM}; {', '.join(TEST_NAMES[1:])} can stand for val."
        f"{_next_step(root, folders, missing, any(names.values()))}"
    )


def _next_step(root: Path, folders: Sequence[str], missing: str, has_a_split: bool) -> str:
    for name in folders:
        if any(role(entry.name) == "train" for entry in entries(root / name)):
            return f" If the set is in {printable(name)}, use that folder as SOURCE."
    if has_a_split:
        return f" Rename the folder with the {'training' if missing == 'train' else 'test'} images to {missing}."
    if folders:
        return (
            " If these folders are classes, move them to train, and a part of the images of each, such as a fifth, to "
            "val/CLASS."
        )
    return ""


def _files(root: Path, folders: Iterable[str], suffixes: tuple[str, ...]) -> list[str]:
    """The files directly in these folders that may be tables of labels, relative to the root."""
    return [
        f"{folder}/{entry.name}".lstrip("/")
        for folder in folders
        for entry in entries(root / folder)
        if entry.name.lower().endswith(suffixes) and not service(entry.name, False)
    ]


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    all_names = list(map(printable, names))
    more = len(all_names) - LISTED
    return ", ".join(all_names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _shown(path: str | Path) -> str:
    return printable(str(path))
