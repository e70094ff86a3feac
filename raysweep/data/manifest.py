"""What a folder of FFCV files holds, as its manifest.json says, and whether the files are still what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError
from raysweep.validate import RESCALES

VERSION = 1
FILE_NAME = "manifest.json"
MEMORY_NAME = ".verified.json"
"""Remembers which files had the right checksum, so that it is computed once per file and not once per sweep."""
STAGING_NAME = ".writing"
"""Folder of a set under way."""
SPLITS = ("train", "test")
ENCODINGS = ("jpg", "raw", "mixed")


@dataclass(frozen=True)
class Split:
    """One FFCV file: its name, size and checksum, how many images it has and how many of each class."""

    file: str
    bytes: int
    sha256: str
    images: int
    class_counts: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """A complete image set. It is written last: a folder without one holds nothing finished."""

    version: int
    name: str
    source: str
    classes: tuple[str, ...]
    short_side: int
    """Shortest side of all images, px; that of every image if one was asked for at write time."""
    encoding: str
    """jpg, raw: pixels as they are, or mixed: some of the images this way, some that."""
    quality: int
    """JPEG quality; without meaning in raw files."""
    digest: str
    """Of the stored images and labels in order: the same for the same content, however the files are laid out."""
    splits: Mapping[str, Split]
    skipped: tuple[str, ...] = ()
    """Images left out because they could not be decoded."""
    rescale: str = "auto"
    """How images were resized to the short side."""
    raw_share: float | None = None
    """Of mixed: which share of the images is stored as pixels."""

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest of such a text.

        Raises:
            ValueError: not a manifest of this version; says in what.
        """
        try:
            value = json.loads(text)
            version = int(value["version"])
            if version > VERSION:
                raise ValueError(f"its version is {version}, this raysweep reads up to {VERSION}: update raysweep")
            tuples = {key: tuple(value[key]) for key in ("classes", "skipped")}
            splits = {name: _split(value["splits"][name]) for name in SPLITS}
            manifest = cls(**value | tuples | {"splits": splits})
        except KeyError as error:
            raise ValueError(f"it has no {error}") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None
        manifest._check_values()
        return manifest

    def _check_values(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"its encoding is {self.encoding!r}, not {' or '.join(ENCODINGS)}")
        if self.rescale not in RESCALES:
            raise ValueError(f"its rescale is {self.rescale!r}, not {' or '.join(RESCALES)}")
        if not isinstance(self.short_side, int) or self.short_side < 1:
            raise ValueError(f"its short_side is {self.short_side!r}")
        for name, split in self.splits.items():
            if len(split.class_counts) != len(self.classes) or sum(split.class_counts) != split.images:
                raise ValueError(f"the class counts of its {name} split do not add up to its images and classes")


def _split(value: Mapping[str, Any]) -> Split:
    split = Split(**{**value, "class_counts": tuple(int(count) for count in value["class_counts"])})
    if Path(split.file).name != split.file or split.file in ("", ".."):
        raise ValueError(f"{split.file!r} is not the name of a file in its folder")
    return split


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        RaysweepError: no such folder, no finished image set in it, or not a manifest this raysweep can read.
    """
    path = Path(folder) / FILE_NAME
    how = f"write it with `raysweep data write SOURCE {folder}`."
    if not path.parent.is_dir():
        raise RaysweepError(f"there is no folder {folder}: {how}")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path.parent / STAGING_NAME / "journal").exists():
            how = "give the command again that began to write it, which goes on where it was."
        raise RaysweepError(f"{folder} has no {FILE_NAME}, so no finished image set: {how}") from None
    except (ValueError, OSError) as error:
        raise RaysweepError(f"{path} cannot be used: {error}. If it cannot be mended, {how}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    write_whole(Path(folder) / FILE_NAME, manifest.to_json())


def verify(folder: Path, manifest: Manifest, *, full: bool) -> None:
    """Check that the files are those of the manifest: their sizes, and with `full` their checksums too.

    A checksum found right is remembered beside the files until the file changes.

    Raises:
        RaysweepError: a file is missing, cut short or another one; names it, what was expected and what found.
    """
    for name in SPLITS:
        check_size(folder, manifest.splits[name])
    if full:
        known = _recall(folder)
        found = {split.file: _check_sum(folder, split, known) for split in manifest.splits.values()}
        if found != known:
            _remember(folder, found)


def check_size(folder: Path, split: Split) -> None:
    """Check that the file of a split is there and as long as its manifest says.

    Raises:
        RaysweepError: it is not; names the file, what was expected and what found.
    """
    path = Path(folder) / split.file
    try:
        found = path.stat().st_size
    except OSError as error:
        raise RaysweepError(
            f"{path}, named in {FILE_NAME}, cannot be read: {error.strerror}. {_again(folder)}"
        ) from None
    if found != split.bytes:
        what = "cut short" if found < split.bytes else "another file"
        raise RaysweepError(
            f"{path} is {what}: {FILE_NAME} says {split.bytes:,} bytes, it has {found:,}. {_again(folder)}"
        )


def _check_sum(folder: Path, split: Split, known: Mapping[str, Any]) -> list[Any]:
    path = Path(folder) / split.file
    status = path.stat()
    entry = [status.st_size, status.st_mtime_ns, split.sha256]
    if known.get(split.file) == entry:
        return entry
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != split.sha256:
        raise RaysweepError(
            f"{path} is not the file that was written: {FILE_NAME} says sha256 {split.sha256[:16]}..., "
            f"it has {found[:16]}... {_again(folder)}"
        )
    return entry


def _recall(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((Path(folder) / MEMORY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remember(folder: Path, entries: Mapping[str, Any]) -> None:
    # A folder that may only be read is checked every time.
    try:
        write_whole(Path(folder) / MEMORY_NAME, json.dumps(entries))
    except OSError:
        return


def _again(folder: Path) -> str:
    return f"Copy it again or write it again: `raysweep data write SOURCE {folder} --overwrite`."
