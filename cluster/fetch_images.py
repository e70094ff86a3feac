"""Copy a written image set from object storage to this node's disk: `fetch_images.py s3://BUCKET/imagenet128 FOLDER`.

Does nothing where the folder is there already: a copy appears under its name only when it is whole.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pyarrow.fs import copy_files


def fetch(uri: str, folder: Path) -> bool:
    """Copy everything under a URI that `pyarrow.fs` knows into a new folder; returns whether there was anything to do.

    Raises:
        OSError: the URI cannot be read or the folder not be written.
    """
    if folder.exists():
        return False
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    copy_files(uri, str(beside.absolute()))
    beside.rename(folder)
    return True


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]).expanduser())
