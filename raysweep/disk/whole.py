"""Files that are replaced as a whole: readers see the old file or the new one, never a part."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a new name next to `path`; the file written there replaces `path` if the block ends without an error.

    Args:
        path: the file to replace or create; its folder must exist.
        sync: flush the new file to disk first, so that it survives a power failure.

    Raises:
        OSError: the file cannot be written; `path` is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        if sync:
            sync_file(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Replace the content of a file; text is encoded as UTF-8.

    Raises:
        OSError: the file cannot be written; `path` is unchanged.
    """
    with replacing(path, sync=sync) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


def sync_file(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
