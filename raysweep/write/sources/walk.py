"""What is in the folders of an image set: the images, and everything else by the reason why it is passed over.

The same rules hold at every level. A link counts as what it points to. Hidden folders and those of file managers,
network storage and archives hold no images of the set. Everything is visited in the order of the bytes of its name, so
that the result does not depend on the file system.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

from raysweep.data.passed_over import Tally
from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.open_image import may_be_image

IMAGE_SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".tga"),
        *(".avif", ".avifs"),
    ]
)
"""Suffixes of images. Files with other suffixes are opened to see whether they are images, except for the following."""
OTHER_SUFFIXES = frozenset(
    [
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".pdf", ".log", ".ini"),
        *(".db", ".py", ".sh", ".md5", ".npy", ".npz", ".mat", ".h5", ".pkl", ".pt", ".parquet", ".zip", ".tar"),
        *(".gz", ".mp4", ".avi", ".mov", ".wav", ".mp3", ".bak", ".orig", ".old", ".tmp", ".part", ".crdownload"),
    ]
)
"""Suffixes of other files, of which there may be one for each image, and of copies, which would count twice."""
SERVICE_FOLDERS = frozenset(
    ["@eadir", "#recycle", "@recycle", "#snapshot", "__macosx", "__pycache__", "lost+found", "$recycle.bin"]
)
SERVICE_FILES = frozenset(["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"])
MANY_SUFFIXES = 10
"""Number of suffixes that are counted separately."""
LOOP = "links to folders that they are in, or that are read already"


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """The entries of a folder in the order of the bytes of their names.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: os.fsencode(entry.name))


def suffix(name: str) -> str:
    """The suffix of a file in small letters; faster than that of a Path, of which there would be millions."""
    place = name.rfind(".")
    return name[place:].lower() if place > 0 else ""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link that cannot be followed is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_lost(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a link that cannot be followed."""
    try:
        return entry.is_symlink() and not entry.stat()
    except OSError:
        return True


def lost(entry: os.DirEntry[str]) -> RaysweepError:
    """The error for a link that cannot be followed and may stand for a whole folder of images."""
    return RaysweepError(
        f"{printable(entry.path)} is a link that cannot be followed: restore what it points to, or remove it."
    )


def service(name: str, folder: bool) -> str:
    """The reason why an entry with this name is passed over whatever it holds; otherwise empty."""
    if name.startswith("."):
        return "files in hidden folders" if folder else "hidden files"
    if name.endswith("~") or name.casefold() in (SERVICE_FOLDERS if folder else SERVICE_FILES):
        return "files in folders of other programs" if folder else "files of other programs"
    return ""


def leads_up(link: Path) -> bool:
    """Whether a link leads to a folder that it is in."""
    return link.parent.resolve().is_relative_to(link.resolve())


def is_image(name: str) -> bool:
    """Whether a file has the suffix of an image."""
    return suffix(PurePath(name).name) in IMAGE_SUFFIXES


def files_below(root: Path) -> Iterator[str]:
    """The paths of the files below a folder, relative to it; links to folders are followed, once each."""
    seen = set()
    for parent, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(
            name for name in folders if not (path := Path(parent, name)).is_symlink() or not leads_up(path)
        )
        yield from (os.path.relpath(f"{parent}/{file}", root) for file in files)


def _refuse(error: OSError) -> None:
    raise unreadable(error)


def unreadable(error: OSError) -> RaysweepError:
    """The error for a file or folder of a source that cannot be read."""
    return RaysweepError(f"{printable(str(error.filename))} cannot be read: {error.strerror}.")


class Walk:
    """Finds images below a root and counts what it passes over; paths are relative to the root."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of the set."""
        self.root = root
        self.tally = Tally()
        self._suffixes: set[str] = set()

    def images(self, folder: str, leave_out: Collection[str] = ()) -> list[str]:
        """The images below a folder, sorted; with what cannot be read, so that it is named as bad and never lost.

        The files `leave_out` are neither images nor counted.

        Each folder is read once, and links to folders are followed when all others have been read: this ends, and the
        result is the same, however they are linked.
        """
        found: list[str] = []
        folders, links, read = deque([folder]), deque[str](), set[tuple[int, int]]()
        while folders or links:
            here = folders.popleft() if folders else links.popleft()
            try:
                status = (self.root / here).stat()
                content = entries(self.root / here)
            except OSError:
                found.append(here)
                continue
            if (status.st_dev, status.st_ino) in read:
                self.tally.add(LOOP, here)
                continue
            read.add((status.st_dev, status.st_ino))
            for entry in content:
                below = f"{here}/{entry.name}".lstrip("/")
                if not is_folder(entry):
                    if below not in leave_out and self._is_image(entry, below):
                        found.append(below)
                elif self._is_set_folder(entry, below):
                    (links if entry.is_symlink() else folders).append(below)
        return sorted(found, key=lambda path: os.fsencode(path).split(b"/"))

    def class_folders(self, split: str) -> Iterator[str]:
        """The names of the folders in a split, or in the root if it is empty; everything else in it is counted.

        Raises:
            RaysweepError: one may be a link that cannot be followed.
            OSError: the folder cannot be read.
        """
        for entry in entries(self.root / split):
            below = f"{split}/{entry.name}".lstrip("/")
            if not is_folder(entry):
                reason = service(entry.name, False)
                if not reason and is_lost(entry) and suffix(entry.name) not in OTHER_SUFFIXES:
                    raise lost(entry)
                self.tally.add(reason or "files beside the class folders", below)
            elif self._is_set_folder(entry, below):
                yield entry.name

    def count_all(self, folder: str, reason: str) -> None:
        """Count every file below a folder; links are not followed."""
        waiting = deque([folder])
        while waiting:
            here = waiting.popleft()
            try:
                content = entries(self.root / here)
            except OSError as error:
                self.tally.add(f"folders that cannot be read ({error.strerror})", here)
                continue
            for entry in content:
                below = f"{here}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(below)
                else:
                    self.tally.add(reason, below)

    def _is_set_folder(self, entry: os.DirEntry[str], below: str) -> bool:
        """Whether a folder belongs to the set; otherwise what it holds is counted."""
        reason = service(entry.name, True)
        if reason and entry.is_symlink():
            self.tally.add(reason, below)
        elif reason:
            self.count_all(below, reason)
        elif entry.is_symlink() and leads_up(Path(entry.path)):
            self.tally.add(LOOP, below)
        else:
            return True
        return False

    def _is_image(self, entry: os.DirEntry[str], below: str) -> bool:
        """Whether a file is an image or may be one that cannot be read; otherwise it is counted."""
        reason = service(entry.name, False) or _special(entry) or self._no_image(entry)
        if reason:
            self.tally.add(reason, below)
        return not reason

    def _no_image(self, entry: os.DirEntry[str]) -> str:
        end = suffix(entry.name)
        if end in IMAGE_SUFFIXES or (end not in OTHER_SUFFIXES and may_be_image(entry.path)):
            return ""
        if not re.fullmatch(r"\.[a-z0-9]{1,8}", end):
            return "files that are no images"
        if end in self._suffixes or len(self._suffixes) < MANY_SUFFIXES:
            self._suffixes.add(end)
            return f"files with the suffix {end}"
        return "files with other suffixes"


def _special(entry: os.DirEntry[str]) -> str:
    """The kind of what is neither a file nor a folder: reading it might never end."""
    if is_lost(entry) or entry.is_file():
        return ""
    mode = entry.stat().st_mode
    return "FIFOs and sockets" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "devices"
