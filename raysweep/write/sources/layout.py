"""Which folders of a set are its splits and its classes, and the next step for a set that lacks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import alike
from raysweep.write.sources.split_names import TEST_NAMES, role, split_in
from raysweep.write.sources.walk import (
    IMAGE_SUFFIXES,
    Walk,
    entries,
    files_below,
    is_folder,
    is_image,
    is_lost,
    leads_up,
    lost,
    service,
    suffix,
)

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl")
NOTE_SUFFIXES = (*TABLE_SUFFIXES, ".txt", ".json", ".mat", ".xml")
LISTED = 5
HOLD_OUT = "Or test on a share of the training images instead: --holdout 0.2."
FORM = "train/CLASS/*.jpg and val/CLASS/*.jpg"

Classes = Mapping[str, Sequence[str]]
"""The class folders of `train` and `test`."""


def choose_splits(root: Path, hold_out: bool = False) -> dict[str, str]:
    """The names of the folders that are used as `train` and, unless images are to be held out of it, `test`.

    Without a test split it is `train` only, whose folder is the root itself if that has the folders of the classes.

    Raises:
        RaysweepError: one of them has no class folders or is there twice, or the root is no set.
        OSError: a folder cannot be read.
    """
    names = _split_folders(root)
    if not any(names.values()) and _are_classes(root):
        return {"train": ""}
    if not names["train"] or not (names["test"] or hold_out or _is_all(root, names["train"][0])):
        raise _without_splits(root, names)
    tests = [name for name in names["test"] if has_classes(root / name)] or names["test"]
    tests = [] if hold_out else [name for name in tests if role_order(name) == role_order(tests[0])]
    for several in (names["train"], tests):
        if len(several) > 1:
            raise RaysweepError(
                f"{_shown(root)} has several folders for one split: {listed(several)}. Merge them, or rename one."
            )
    for name in (names["train"][0], *tests):
        if not has_classes(root / name):
            raise _without_classes(root, name)
    return {"train": names["train"][0]} | ({"test": tests[0]} if tests else {})


def has_split_folders(root: Path) -> bool:
    """Whether a root has a split for training with folders of several classes.

    Raises:
        OSError: a folder cannot be read.
    """
    if not root.is_dir():
        return False
    splits = [entry.path for entry in entries(root) if role(entry.name) == "train" and is_folder(entry)]
    return any(len(_folders(Path(split))) > 1 for split in splits)


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder that may hold images of its set."""
    return [entry.name for entry in entries(folder) if is_folder(entry) and not service(entry.name, True)]


def _are_classes(root: Path) -> bool:
    """Whether the folders in a root are those of classes: two or more have images, and none seems to be a split."""
    folders = [Path(root, name) for name in _folders(root) if not leads_up(root / name)]
    if any(split_in(folder.name) or any(map(role, _folders(folder))) for folder in folders):
        return False
    return len(list(islice((folder for folder in folders if any(map(is_image, files_below(folder)))), 2))) == 2


def class_folders(walk: Walk, split: str) -> Iterator[str]:
    """The names of the folders in a split; in the root, which may have others, only those with images."""
    for name in walk.class_folders(split):
        if split or any(map(is_image, files_below(walk.root / name))):
            yield name
        else:
            walk.count_all(name, "files in folders without images")


def _is_all(root: Path, train: str) -> bool:
    """Whether the training split is all there is: no other folder has its classes, as a test split would."""
    classes = {*_folders(root / train)}
    return not any(classes & {*_folders(root / name)} for name in _folders(root) if name != train)


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
    return bool(_folders(folder))


def refusal(root: Path, used: Mapping[str, str], classes: Classes) -> str:
    """Why splits with different classes, or a single class with a table that may have the labels, must not be written.

    It names the folders and the classes, and what may be the cause; empty if all is well.
    """
    for here, there in (("train", "test"), ("test", "train")) if "test" in used else ():
        if missing := [name for name in classes[here] if name not in set(classes[there])]:
            return (
                f"{_shown(root / used[here])} has classes that {_shown(root / used[there])} lacks: {listed(missing)}. "
                f"{_cause(root, used, classes, missing)}"
            )
    if len(classes["train"]) == 1 and (tables := _files(root, ["", *used.values()], TABLE_SUFFIXES)):
        return (
            f"{_shown(root)} has one folder of images, {listed(classes['train'])}, and {listed(tables)}: with one "
            f"class, every network is always right. If the labels are in that file, move the images to {FORM} by them; "
            "otherwise remove it."
        )
    return ""


def _cause(root: Path, used: Mapping[str, str], classes: Classes, missing: Sequence[str]) -> str:
    if pairs := alike([*classes["train"], *classes["test"]]):
        return f"Their names differ only in capitals or in the form of accents: {listed(pairs)}. Rename them."
    advice = f"Both need the same class folders; in the test split they may be empty. {HOLD_OUT}"
    if tables := _files(root, used.values(), NOTE_SUFFIXES):
        advice += f" If the labels are in {listed(tables)}, move the images to the folders of their classes by them."
    return advice


def count_rest(walk: Walk, used: Mapping[str, str]) -> tuple[str, ...]:
    """Count everything in the root besides the splits that are used; returns a note on what is used if it may surprise.

    Raises:
        OSError: the root cannot be read.
    """
    if "" in used.values():
        return ("the folders in it are used as classes",)
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
    test = f", {printable(used['test'])} for testing" if "test" in used else ""
    return (f"{printable(used['train'])} is used for training{test}{rest}",)


def _without_classes(root: Path, split: str) -> RaysweepError:
    images = sum(suffix(entry.name) in IMAGE_SUFFIXES for entry in entries(root / split))
    tables = _files(root, ["", split], NOTE_SUFFIXES)
    labels = f" If their classes are in {listed(tables)}, sort them by it." if tables else ""
    count = "1 image" if images == 1 else f"{images:,} images"
    other = "" if role(split) == "train" else f" {HOLD_OUT}"
    return RaysweepError(
        f"{_shown(root / split)} has {count} but no class folders: move each to {printable(split)}/CLASS."
        f"{labels}{other}"
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
