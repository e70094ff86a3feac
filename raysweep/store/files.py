"""Whole files under an address: a folder, or any URI that `pyarrow.fs` knows.

A file appears under its name only when it is whole: written beside, flushed to disk and renamed; on object storage one
PUT. What a killed writer leaves has a name that is never listed.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError

T = TypeVar("T")
FAILURES = (OSError, pa.ArrowException)
"""What file systems and damaged files raise."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
"""Before the second try, and at most between two later ones; each pause is twice the one before."""


def _nobody(text: str) -> None:
    """Who listens where nobody does."""


@dataclass(frozen=True)
class Patience:
    """How long an operation that may still succeed is tried again."""

    seconds: float = 0.0
    tell: Callable[[str], None] = _nobody
    """Hears in one sentence what is waited for, once for each wait."""


NO_PATIENCE = Patience()


class Stamp(NamedTuple):
    """What tells one version of a file from the next."""

    changed_ns: int | None
    size: int | None


class Files:
    """The files of one store, by name relative to its address."""

    def __init__(self, uri: str, filesystem: pafs.FileSystem, root: str, patience: Patience = NO_PATIENCE) -> None:
        self.uri = uri
        self.filesystem = filesystem
        self.root = root
        self.patience = patience
        self.mark = ""
        """A file without which the store is taken to be away, as a folder is that is not mounted."""

    @classmethod
    def at(cls, uri: str, patience: Patience = NO_PATIENCE) -> Files:
        """The files under a folder or URI, whether there are any or not.

        Raises:
            RaysweepError: no such kind of address, one that cannot be reached, or a file.
        """
        try:
            if "://" in uri:
                filesystem, root = pafs.FileSystem.from_uri(uri)
            else:
                uri = root = str(Path(uri).expanduser().absolute())
                filesystem = pafs.LocalFileSystem()
            files = cls(uri, filesystem, root.rstrip("/"), patience)
            is_file = files._patiently(lambda: filesystem.get_file_info(root).type == pafs.FileType.File)
        except FAILURES as error:
            raise RaysweepError(
                f"{uri} is no address of a results store, or it cannot be reached ({error}): use a folder, or "
                "s3://BUCKET/FOLDER with its credentials."
            ) from error
        if is_file:
            raise RaysweepError(f"{uri} is a file: a results store is a folder.")
        return files

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Bytes of a file, if it is there.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        info = self._do("look up", name, lambda: self.filesystem.get_file_info(self._path(name)))
        return int(info.size) if info.type == pafs.FileType.File else None

    def require(self, mark: str) -> None:
        """Wait for a file that every store of the kind has, now and before a folder is made.

        Raises:
            RaysweepError: it is not there.
        """
        self.mark = mark
        self._do("find", mark, self._look_for_mark)

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names of the whole files in a folder, sorted; none where there is no folder.

        Raises:
            RaysweepError: the folder cannot be listed.
        """
        return sorted(self.stamps(folder, suffix))

    def stamps(self, folder: str, suffix: str) -> dict[str, Stamp]:
        """The whole files in a folder as they now are, by name.

        Raises:
            RaysweepError: the folder cannot be listed.
        """
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        infos = self._do("list", folder, lambda: self.filesystem.get_file_info(selector))
        whole = (info for info in infos if info.base_name.endswith(suffix) and not info.base_name.startswith("."))
        return {f"{folder}/{info.base_name}": Stamp(info.mtime_ns, info.size) for info in whole}

    def find(self, name: str) -> bytes | None:
        """The content of a file, if it is there.

        Raises:
            RaysweepError: it cannot be read.
        """
        return self._do("read", name, partial(self._get, name))

    def open(self, name: str) -> pa.NativeFile:
        """A file of which parts are to be read.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        return self.filesystem.open_input_file(self._path(name))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            RaysweepError: it cannot be read.
        """
        if (content := self.find(name)) is None:
            raise self._cannot("read", name, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, whole or not at all.

        Raises:
            RaysweepError: it cannot be written; what was there before is still whole.
        """
        self._do("write", name, partial(self._put_in_folder, name, content))

    def delete(self, name: str) -> None:
        """Remove a file if it is there.

        Raises:
            RaysweepError: it cannot be removed.
        """
        self._do("delete", name, partial(self._remove, name))

    def delete_if_unchanged(self, name: str, stamp: Stamp) -> bool:
        """Remove a file if it is still the one that had this stamp; returns whether it was.

        Raises:
            RaysweepError: it cannot be looked up or removed.
        """
        info = self._do("look up", name, lambda: self.filesystem.get_file_info(self._path(name)))
        if info.type != pafs.FileType.File or Stamp(info.mtime_ns, info.size) != stamp:
            return False
        self.delete(name)
        return True

    def probe(self) -> None:
        """Write and remove a file.

        Raises:
            RaysweepError: the store cannot be written; says why.
        """
        name = f".probe-{uuid.uuid4().hex}"
        self.write(name, b"")
        self.delete(name)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _do(self, verb: str, name: str, act: Callable[[], T]) -> T:
        try:
            return self._patiently(act)
        except FAILURES as error:
            raise self._cannot(verb, name, error) from error

    def _patiently(self, act: Callable[[], T]) -> T:
        pause_s, deadline = FIRST_PAUSE_S, time.monotonic() + self.patience.seconds
        while True:
            try:
                return act()
            except FAILURES as error:
                if not _may_pass(error) or time.monotonic() >= deadline:
                    raise
                if pause_s == FIRST_PAUSE_S:
                    minutes = self.patience.seconds / 60
                    self.patience.tell(f"for the store {self.uri}, for up to {minutes:.0f} min: {error}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _get(self, name: str) -> bytes | None:
        try:
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def _put_in_folder(self, name: str, content: bytes) -> None:
        try:
            self._put(name, content)
        except FileNotFoundError:  # the folder is made when it is missing, not looked for at every write
            self._look_for_mark()
            self.filesystem.create_dir(self._path(PurePosixPath(name).parent.as_posix()), recursive=True)
            self._put(name, content)

    def _look_for_mark(self) -> None:
        if self.mark and self.filesystem.get_file_info(self._path(self.mark)).type != pafs.FileType.File:
            raise OSError(errno.ENODEV, f"nothing is there, not even {self.mark}")

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(name))

    def _put(self, name: str, content: bytes) -> None:
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            write_whole(Path(self._path(name)), content)
        else:
            with self.filesystem.open_output_stream(self._path(name)) as stream:
                stream.write(content)

    def _cannot(self, verb: str, name: str, error: Exception) -> RaysweepError:
        full = " The disk is full: free some space; everything written before is whole." if _is_full(error) else ""
        return RaysweepError(f"cannot {verb} {name} in the store {self.uri}: {error}.{full}")


def _may_pass(error: Exception) -> bool:
    """Whether the same may succeed later: a store that is away or full comes back, a missing file or right does not."""
    return isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError))


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
