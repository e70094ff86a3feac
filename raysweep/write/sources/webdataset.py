"""Images from WebDataset: tar archives of which files with one name, such as 0001.jpg and 0001.cls, are one sample.

Nothing is extracted: members are read in place, so that their names lead nowhere.
"""

from __future__ import annotations

import errno
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import MAX_ENCODED, Read, Samples, Source, stem, unreadable
from raysweep.write.sources.class_numbers import as_labels, number_classes
from raysweep.write.sources.kind import Kind
from raysweep.write.sources.open_image import open_regular
from raysweep.write.sources.parquet_columns import LABEL_NAMES
from raysweep.write.sources.parquet_files import Table, check_one_set, check_shards, located
from raysweep.write.sources.split_names import used_splits
from raysweep.write.sources.walk import files_below, is_image, service

LABELS = ("cls", "json", "txt")
"""Suffixes of members with labels; the first that a sample has is used."""
JSON_LABELS = (*LABEL_NAMES, "cls", "class_id", "class_name")
MAX_LABEL = 1 << 20
"""Largest member with a label, bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """The place of an image in an archive."""

    archive: Path
    offset: int
    size: int
    name: str

    def read(self) -> bytes:
        """The image.

        Raises:
            OSError: it cannot be read, or is too large.
        """
        if self.size > MAX_ENCODED:
            raise OSError(errno.EFBIG, f"too large: {self.size:,} bytes")
        with open_regular(self.archive) as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class _Sample:
    """The members of one name: the image, and the text of each label by suffix."""

    image: Member | None = None
    labels: dict[str, str] = field(default_factory=dict)


class TarSamples(Samples):
    """The images of one split, in the order of the archives."""

    def __init__(self, members: Sequence[Member], labels: NDArray[np.int64]) -> None:
        """`labels` (N,)."""
        super().__init__(labels)
        self._members = members

    def name(self, index: int) -> str:
        """The archive and the member."""
        return self._members[index].name

    def picture(self, index: int) -> bytes:
        """The member."""
        return self._members[index].read()

    def fetch(self, indices: Sequence[int]) -> Read:
        """The places of these members: workers read the archives."""
        return _Members({index: self._members[index] for index in indices})


@dataclass(frozen=True)
class _Members:
    members: Mapping[int, Member]

    def __call__(self, index: int) -> bytes:
        return self.members[index].read()


class WebDataset(Source):
    """A set in tar archives, whose names or folders are those of the splits."""

    def __init__(self, path: Path, hold_out: bool = False) -> None:
        """`path` is an archive or a folder of them; `hold_out` needs no test split.

        Raises:
            RaysweepError: an archive cannot be read, or has no images with labels.
        """
        self.name, self.spec = stem(str(path)), printable(str(path))
        tally = Tally()
        archives = list(_archives(path, tally))
        check_one_set(archives, path)
        check_shards(archives, tally)
        splits = used_splits({archive.split for archive in archives}, hold_out, self.spec)
        found: dict[str, list[tuple[Member, str]]] = {split: [] for split in splits}
        for archive in archives:
            part = next((split for split, name in splits.items() if name == archive.split), None)
            if part is None:
                tally.add("archives of splits that are not used", archive.name)
            else:
                found[part] += _labelled(archive, tally)
        texts = [label for part in found.values() for _, label in part]
        labels, self.classes = number_classes(as_labels(texts), (), self.spec)
        parts = np.split(labels, np.cumsum([len(part) for part in found.values()])[:-1])
        self.splits = {
            split: TarSamples([member for member, _ in part], own)
            for (split, part), own in zip(found.items(), parts, strict=True)
        }
        self.passed_over = tally.account()


def _archives(path: Path, tally: Tally) -> Iterator[Table]:
    """The archives below a folder in the order of their paths, or the one file; other files are counted."""
    if not path.is_dir():
        yield located(path, path.name)
        return
    for name in sorted(files_below(path), key=lambda name: os.fsencode(name).split(b"/")):
        if _is_archive(name):
            yield located(path / name, name)
        else:
            tally.add(service(PurePath(name).name, False) or "files beside the archives", name)


def _labelled(archive: Table, tally: Tally) -> Iterator[tuple[Member, str]]:
    """The images of an archive, and the text of the label of each; empty without one."""
    samples: dict[str, _Sample] = {}
    try:
        with open_regular(archive.path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in _members(file, tar, archive):
                _add(samples, file, member, archive, tally)
    except tarfile.TarError as error:
        raise _damaged(archive, str(error)) from None
    except OSError as error:
        raise unreadable(error, archive.path) from None
    for name, sample in samples.items():
        if sample.image is None:
            tally.add("samples without an image", f"{archive.name}: {name}")
        else:
            yield sample.image, next((sample.labels[end] for end in LABELS if end in sample.labels), "")


def _members(file: BinaryIO, tar: tarfile.TarFile, archive: Table) -> Iterator[tarfile.TarInfo]:
    """All members of an archive.

    Raises:
        RaysweepError: it is cut off, or goes on after its end or after something that is no member.
    """
    size = os.fstat(file.fileno()).st_size
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # which would keep all of them
        if member.isreg() and member.offset_data + member.size > size:
            raise _damaged(archive, f"{printable(member.name)} is cut off")
        yield member
    file.seek(tar.offset)
    while block := file.read(1 << 20):
        if any(block):
            raise _damaged(archive, f"it has more than archives have after byte {tar.offset:,}")


def _damaged(archive: Table, why: str) -> RaysweepError:
    return RaysweepError(f"{archive} cannot be read as a tar archive: {printable(why)}. Get this file again.")


def _add(samples: dict[str, _Sample], file: BinaryIO, member: tarfile.TarInfo, archive: Table, tally: Tally) -> None:
    """Add a member to its sample, or count it."""
    folder, _, base = member.name.rpartition("/")
    key, _, end = base.partition(".")
    end, shown = end.casefold(), f"{archive.name}: {printable(member.name)}"
    if member.isdir():
        return
    reason = (
        service(base, False) if member.isreg() and not member.sparse else "links and other members that are no files"
    )
    if reason:
        return tally.add(reason, shown)
    sample = samples.setdefault(f"{folder}/{key}", _Sample())
    if is_image(f"x.{end}") and "." not in end and sample.image is None:
        sample.image = Member(archive.path, member.offset_data, member.size, shown)
    elif end in LABELS and end not in sample.labels:
        sample.labels[end] = _label(_text(file, member), end)
    else:
        tally.add("further members of samples", shown)


def _text(file: BinaryIO, member: tarfile.TarInfo) -> str:
    file.seek(member.offset_data)
    return file.read(min(member.size, MAX_LABEL)).decode(errors="replace").strip()


def _label(text: str, end: str) -> str:
    """The label in a member; empty if it has none."""
    if end != "json":
        return text
    try:
        value: Any = json.loads(text)
    except ValueError:
        return ""
    if isinstance(value, dict):
        names = {name.casefold(): name for name in value}
        value = next((value[names[name]] for name in JSON_LABELS if name in names), None)
    return str(value) if isinstance(value, str | int) else ""


def _is_archive(name: str) -> bool:
    return name.casefold().endswith(".tar") and not service(PurePath(name).name, False)


def recognises(path: Path) -> bool:
    """Whether a path is a tar archive, or a folder with such archives and without images."""
    if not path.is_dir():
        return _is_archive(path.name)
    names = list(files_below(path))
    return any(map(_is_archive, names)) and not any(map(is_image, names))


KIND = Kind(
    "a WebDataset archive (.tar) or a folder of them",
    recognises,
    lambda path, how: WebDataset(path, how.holdout is not None),
)
