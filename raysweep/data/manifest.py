"""The manifest of a folder of FFCV files, and checks that the files are the ones it describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysweep.addresses import NAME
from raysweep.data.passed_over import Account, read_account
from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError, step_after
from raysweep.safe import command
from raysweep.validate import RESCALES

VERSION = 1
FILE_NAME = "manifest.json"
MEMORY_NAME = ".verified.json"
"""Remembers which files had the right checksum, so that it is computed once per file rather than once per sweep."""
STAGING_NAME = ".writing"
"""The folder of sets that are being written."""
JOB_NAME = "job.json"
"""The file in it that describes them; without it nothing in the folder can be continued."""
SPLITS = ("train", "test")
ENCODINGS = ("jpg", "raw", "mixed")


@dataclass(frozen=True)
class Split:
    """One FFCV file: its name, size and checksum, its number of images, and the number of images of each class."""

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
    """Shortest side of all images, px; the short side of every image if `--side` was given."""
    encoding: str
    """jpg, raw (uncompressed pixels), or mixed (some images each way)."""
    quality: int
    """JPEG quality; has no meaning for raw."""
    digest: str
    """A digest of the stored images and labels in order, independent of the layout of the files."""
    splits: Mapping[str, Split]
    skipped: tuple[str, ...] = ()
    """Images that were skipped because they could not be decoded."""
    rescale: str = "auto"
    """The method by which images were resized to the short side."""
    raw_share: float | None = None
    """With mixed: the share of the images that is stored as pixels."""
    passed_over: Account | None = None
    """What the source has besides these images, by reason; None in sets written before this was counted."""

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest in a text.

        Raises:
            ValueError: not a manifest that this version can read; says why.
        """
        try:
            value = json.loads(text)
            version = int(value["version"])
            if version > VERSION:
                raise ValueError(f"its version is {version}, this raysweep reads up to {VERSION}: update raysweep")
            tuples = {key: tuple(value[key]) for key in ("classes", "skipped")}
            splits = {name: _split(value["splits"][name]) for name in SPLITS}
            account = read_account(value.get("passed_over"))
            manifest = cls(**value | tuples | {"splits": splits, "passed_over": account})
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
        if not isinstance(self.digest, str) or not NAME.fullmatch(self.digest):
            raise ValueError(f"its digest is {self.digest!r}")
        for name, split in self.splits.items():
            if len(split.class_counts) != len(self.classes) or sum(split.class_counts) != split.images:
                raise ValueError(f"the class counts of its {name} split do not add up to its images and classes")


def _split(value: Mapping[str, Any]) -> Split:
    split = Split(**{**value, "class_counts": tuple(int(count) for count in value["class_counts"])})
    if not NAME.fullmatch(split.file):
        raise ValueError(f"{split.file!r} is not the name of a file in its folder")
    return split


def subfolder_name(side: int, rescale: str) -> str:
    """The subfolder for another size of the images of a folder: `short80`, `short144-nearest`."""
    return f"short{side}" + (f"-{rescale}" if rescale != "auto" else "")


def size_text(side: int, rescale: str, main: str) -> str:
    """Another size as `data write --also` takes it; `main` is the method of rescaling of the folder's own images."""
    return f"{side}" + (f"-{rescale}" if rescale != main else "")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        RaysweepError: no such folder, no finished image set in it, or a manifest that this version cannot read.
    """
    path = Path(folder) / FILE_NAME
    how = f"write it with `{write_command(folder)}`."
    if not path.parent.is_dir():
        raise RaysweepError(f"there is no folder {folder}: check its name, or {how}")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path.parent / STAGING_NAME / JOB_NAME).exists():
            how = "give the command that began to write it again, and it continues."
        raise RaysweepError(f"{folder} has no {FILE_NAME}, so it has no finished image set: {how}") from None
    except OSError as error:
        raise RaysweepError(f"cannot read {path}: {error.strerror}. {step_after(error, 'Check the disk')}.") from None
    except ValueError as error:
        raise RaysweepError(f"{path} cannot be used: {error}. If you have no copy of it, {how}") from None


def is_begun(folder: Path) -> bool:
    """Whether a folder has an image set, or one whose writing was begun."""
    return (folder / FILE_NAME).exists() or (folder / STAGING_NAME / JOB_NAME).exists()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace manifest.json as a whole."""
    write_whole(Path(folder) / FILE_NAME, manifest.to_json())


def verify(folder: Path, manifest: Manifest, *, full: bool) -> None:
    """Check that the files are those of the manifest: their sizes and, with `full`, also their checksums.

    A correct checksum is remembered next to the files until the file changes.

    Raises:
        RaysweepError: a file is missing, truncated or has other content; says what was expected and what was found.
    """
    for name in SPLITS:
        check_size(folder, manifest.splits[name])
    if full:
        known = _recall(folder)
        found = {split.file: _check_sum(folder, split, known) for split in manifest.splits.values()}
        if found != known:
            _remember(folder, found)


def check_size(folder: Path, split: Split) -> None:
    """Check that the file of a split exists and has the size in its manifest.

    Raises:
        RaysweepError: it has not; names the file, the expected size and the size found.
    """
    path = Path(folder) / split.file
    try:
        found = path.stat().st_size
    except OSError as error:
        what = f"{path}, which {FILE_NAME} lists, cannot be read: {error.strerror}"
        again = isinstance(error, FileNotFoundError)
        step = _again(folder) if again else f"{step_after(error, 'Check the disk')}."
        raise RaysweepError(f"{what}. {step}") from None
    if found != split.bytes:
        what = "truncated" if found < split.bytes else "another file"
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
    # The files of a read-only folder are checked every time.
    with suppress(OSError):
        write_whole(Path(folder) / MEMORY_NAME, json.dumps(entries))


def _again(folder: Path) -> str:
    return f"Copy it again or write it again: `{write_command(folder, '--overwrite')}`."


def write_command(folder: Path, *options: object) -> str:
    """The command that writes an image set to a folder."""
    return command("raysweep", "data", "write", "SOURCE", folder, *options)
