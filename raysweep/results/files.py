"""Whole files under an address: a folder, or any URI that `pyarrow.fs` knows.

A file appears under its name only when it is whole: written beside, flushed to disk and renamed; on object storage one
PUT. What a killed writer leaves has a name that is never listed.
"""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from raysweep.errors import RaysweepError

FAILURES = (OSError, pa.ArrowException)
"""What file systems and damaged files raise."""


class Stamp(NamedTuple):
    """What tells one version of a file from the next."""

    changed_ns: int | None
    size: int | None


class Files:
    """The files of one store, by name relative to its address."""

    def __init__(self, uri: str, filesystem: pafs.FileSystem, root: str) -> None:
        self.uri = uri
        self.filesystem = filesystem
        self.root = root

    @classmethod
    def at(cls, uri: str) -> Files:
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
            is_file = filesystem.get_file_info(root).type == pafs.FileType.File
        except FAILURES as error:
            raise RaysweepError(
                f"{uri} is no address of a results store, or it cannot be reached ({error}): use a folder, or "
                "s3://BUCKET/FOLDER with its credentials."
            ) from error
        if is_file:
            raise RaysweepError(f"{uri} is a file: a results store is a folder.")
        return cls(uri, filesystem, root.rstrip("/"))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        try:
            return bool(self.filesystem.get_file_info(self._path(name)).type == pafs.FileType.File)
        except FAILURES as error:
            raise self._cannot("look up", name, error) from error

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
        try:
            infos = self.filesystem.get_file_info(pafs.FileSelector(self._path(folder), allow_not_found=True))
        except FAILURES as error:
            raise self._cannot("list", folder, error) from error
        whole = (info for info in infos if info.base_name.endswith(suffix) and not info.base_name.startswith("."))
        return {f"{folder}/{info.base_name}": Stamp(info.mtime_ns, info.size) for info in whole}

    def find(self, name: str) -> bytes | None:
        """The content of a file, if it is there.

        Raises:
            RaysweepError: it cannot be read.
        """
        try:
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None
        except FAILURES as error:
            raise self._cannot("read", name, error) from error

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
        try:
            try:
                self._put(name, content)
            except FileNotFoundError:  # the folder is made when it is missing, not looked for at every write
                self.filesystem.create_dir(self._path(PurePosixPath(name).parent.as_posix()), recursive=True)
                self._put(name, content)
        except FAILURES as error:
            raise self._cannot("write", name, error) from error

    def delete(self, name: str) -> None:
        """Remove a file if it is there.

        Raises:
            RaysweepError: it cannot be removed.
        """
        try:
            with suppress(FileNotFoundError):
                self.filesystem.delete_file(self._path(name))
        except FAILURES as error:
            raise self._cannot("delete", name, error) from error

    def delete_if_unchanged(self, name: str, stamp: Stamp) -> bool:
        """Remove a file if it is still the one that had this stamp; returns whether it was.

        Raises:
            RaysweepError: it cannot be looked up or removed.
        """
        try:
            info = self.filesystem.get_file_info(self._path(name))
        except FAILURES as error:
            raise self._cannot("look up", name, error) from error
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

    def _put(self, name: str, content: bytes) -> None:
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            _replace(Path(self._path(name)), content)
        else:
            with self.filesystem.open_output_stream(self._path(name)) as stream:
                stream.write(content)

    def _cannot(self, verb: str, name: str, error: Exception) -> RaysweepError:
        full = " The disk is full: free some space; everything written before is whole." if _is_full(error) else ""
        return RaysweepError(f"cannot {verb} {name} in the store {self.uri}: {error}.{full}")


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
