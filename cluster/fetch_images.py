"""Copy a written image set from object storage to this node's disk: `fetch_images.py s3://BUCKET/imagenet128 FOLDER`.

Does nothing if the folder exists: a copy gets its name only when it is complete.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pyarrow.fs import copy_files


def fetch(uri: str, folder: Path) -> bool:
    """Copy everything under a URI that `pyarrow.fs` knows into a new folder; returns False if the folder exists.

    Raises:
        OSError: the URI cannot be read, or the folder cannot be written.
    """
    if folder.exists():
        return False
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    copy_files(uri, str(partial.absolute()))
    partial.rename(folder)
    return True


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]).expanduser())
