"""Files below an address: a folder, or any URI that `pyarrow.fs` supports.

A file appears under its name only when it is complete: a local file is written under another name, flushed to disk and
renamed; on object storage it is a single PUT. What a killed writer leaves behind has a name that is never listed.
"""

from __future__ import annotations

import errno
import stat
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from raysweep.addresses import check_address, check_name, is_uri
from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError, step_after

T = TypeVar("T")
FAILURES = (OSError, pa.ArrowException)
"""Errors of file systems and of damaged files."""
PART = ".part"
"""Suffix of the files that `disk.whole` writes before it renames them."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
"""Pause before the first retry, and the upper bound of later pauses; each is twice as long as the previous one."""


@dataclass(frozen=True)
class Patience:
    """How long an operation that may still succeed is retried."""

    seconds: float = 0.0
    tell: Callable[[str], None] = lambda text: None
    """Receives a phrase that says what is waited for, once per wait."""


NO_PATIENCE = Patience()


class Stamp(NamedTuple):
    """Modification time and size, which distinguish the versions of a file."""

    changed_ns: int | None
    size: int | None
    """None for what is not a regular file."""


class Files:
    """The files of a store, by name relative to its address.

    All methods raise a `RaysweepError` if the store cannot be reached.
    """

    def __init__(self, uri: str, filesystem: pafs.FileSystem, root: str, patience: Patience = NO_PATIENCE) -> None:
        self.uri = uri
        self.filesystem = filesystem
        self.root = root
        self.patience = patience
        self.mark = ""
        """A file without which the store counts as unavailable, e.g. because its folder is not mounted."""

    @classmethod
    def at(cls, uri: str, patience: Patience = NO_PATIENCE) -> Files:
        """The files below a folder or URI, which does not have to exist.

        Raises:
            RaysweepError: not a valid address, one that cannot be reached, or the address of a file.
        """
        check_address(uri)
        try:
            if is_uri(uri):
                filesystem, root = pafs.FileSystem.from_uri(uri)
            else:
                uri = root = str(Path(uri).expanduser().absolute())
                filesystem = pafs.LocalFileSystem()
            files = cls(uri, filesystem, root.rstrip("/"), patience)
            is_file = files._patiently(lambda: filesystem.get_file_info(root).type == pafs.FileType.File)
        except (*FAILURES, RuntimeError) as error:  # the latter of ~USER, if there is no such user
            raise RaysweepError(f"cannot open the results store at {uri}: {error}. {_step(uri, error)}") from error
        if is_file:
            raise RaysweepError(f"{uri} is a file, but a results store is a folder: use another --store.")
        return files

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self._stamp(name) is not None

    def size(self, name: str) -> int | None:
        """The size of a file in bytes; None if it does not exist."""
        stamp = self._stamp(name)
        return stamp and stamp.size

    def require(self, mark: str) -> None:
        """Wait for a file that every store of the kind has, now and before a folder is created.

        Raises:
            RaysweepError: the file does not exist.
        """
        self.mark = mark
        self._do("find", mark, self._check_mark)

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names of the files in a folder, sorted; empty if the folder does not exist."""
        return sorted(self.stamps(folder, suffix))

    def stamps(self, folder: str, suffix: str) -> dict[str, Stamp]:
        """The present stamps of the files in a folder, by name; those whose name begins with a dot are left out."""
        return {name: stamp for name, stamp in self._list(folder, suffix).items() if not name.startswith(f"{folder}/.")}

    def delete_old_parts(self, folder: str, age_s: float) -> int:
        """Delete what killed writers left in a folder, if it is this much older than the newest file there."""
        found = {} if self.local(folder) is None else self._list(folder, "")
        newest = max((stamp.changed_ns or 0 for stamp in found.values()), default=0)
        return sum(
            self.delete_if_unchanged(name, stamp)
            for name, stamp in found.items()
            if name.startswith(f"{folder}/.") and name.endswith(PART) and newest - (stamp.changed_ns or 0) > age_s * 1e9
        )

    def local(self, name: str) -> Path | None:
        """The path of a file; None on object storage."""
        return Path(self._path(name)) if isinstance(self.filesystem, pafs.LocalFileSystem) else None

    def find(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""
        return self._do("read", name, lambda: self._get(name))

    def open(self, name: str) -> pa.NativeFile:
        """A file for random access.

        Raises:
            OSError: the file does not exist or cannot be read.
        """
        return self.filesystem.open_input_file(self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Replace a file as a whole; if that fails, the previous content is still there."""
        self._do("write", name, lambda: self._put_in_folder(name, content))

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        self._do("delete", name, lambda: self._remove(name))

    def delete_if_unchanged(self, name: str, stamp: Stamp) -> bool:
        """Delete a file if it still has this stamp; returns whether it had."""
        if self._stamp(name) != stamp:
            return False
        self.delete(name)
        return True

    def probe(self) -> None:
        """Check that the store can be written.

        Raises:
            RaysweepError: the store cannot be written.
        """
        name = f".probe-{uuid.uuid4().hex}"
        self.write(name, b"")
        self.delete(name)

    def _path(self, name: str) -> str:
        return f"{self.root}/{check_name(name)}"

    def _list(self, folder: str, suffix: str) -> dict[str, Stamp]:
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        infos = self._do("list", folder, lambda: self.filesystem.get_file_info(selector))
        named = ((_base_name(info), info) for info in infos)
        return {f"{folder}/{name}": Stamp(info.mtime_ns, info.size) for name, info in named if name.endswith(suffix)}

    def _stamp(self, name: str) -> Stamp | None:
        info = self._do("look up", name, lambda: self.filesystem.get_file_info(self._path(name)))
        return Stamp(info.mtime_ns, info.size) if info.type == pafs.FileType.File else None

    def _do(self, verb: str, name: str, act: Callable[[], T]) -> T:
        try:
            return self._patiently(act)
        except FAILURES as error:
            raise RaysweepError(
                f"cannot {verb} {name} in the store {self.uri}: {error}. {_step(self.uri, error)}"
            ) from error

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
            if (path := self.local(name)) and not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
                raise OSError(errno.EINVAL, "not a regular file")
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def _put_in_folder(self, name: str, content: bytes) -> None:
        try:
            self._put(name, content)
        except FileNotFoundError:  # the folder is created when it turns out to be missing, not checked at every write
            self._check_mark()
            self.filesystem.create_dir(PurePosixPath(self._path(name)).parent.as_posix(), recursive=True)
            self._put(name, content)

    def _check_mark(self) -> None:
        if self.mark and self.filesystem.get_file_info(self._path(self.mark)).type != pafs.FileType.File:
            raise OSError(errno.ENODEV, f"{self.mark} is missing; is the folder mounted?")

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(name))

    def _put(self, name: str, content: bytes) -> None:
        if path := self.local(name):
            write_whole(path, content)
            return
        # Closing an object commits what it has. An interrupt between opening and writing, which only the main thread
        # can have, would commit an empty one; nothing else does, since an upload that failed is not completed.
        with ThreadPoolExecutor(1) as uninterrupted:
            uninterrupted.submit(self._put_object, name, content).result()

    def _put_object(self, name: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(self._path(name)) as stream:
            stream.write(content)


def _base_name(info: pafs.FileInfo) -> str:
    """The name of a file without its folder; empty if it is not UTF-8, so that raysweep cannot have written it."""
    try:
        return str(info.base_name)
    except UnicodeDecodeError:
        return ""


def _may_pass(error: Exception) -> bool:
    """Whether a retry may succeed: unavailable and full stores recover, missing files and permissions do not."""
    return isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError))


def _step(uri: str, error: Exception) -> str:
    """What to do after an error of a store, by its cause."""
    if _is_full(error):
        return "The disk is full: free some space. Everything written before is complete."
    if isinstance(error, pa.ArrowInvalid):
        return "Use a folder, or s3://BUCKET/FOLDER with its credentials in the environment."
    there = "Check the address, the network and the credentials in the environment"
    return f"{step_after(error, there if is_uri(uri) else 'Check the path and the disk')}."


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
