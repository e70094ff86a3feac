"""Sources of images: class folders, Parquet, and torchvision's CIFAR sets."""

from __future__ import annotations

import stat
from itertools import islice
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import Source, unreadable

TORCHVISION = "torchvision:"
LOOKED_AT = 10_000
"""Number of files whose suffixes may explain why a folder is no set."""


def open_source(
    spec: str,
    *,
    root: Path | None = None,
    download: bool = False,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Source:
    """Open a source: a class folder, a Parquet file or folder, or `torchvision:CIFAR10`.

    Args:
        spec: its path or name.
        root: folder of torchvision's sets.
        download: download a torchvision set if it is missing.
        image_column: the column of a Parquet file that has the images; None finds it.
        label_column: the column that has their labels; None finds it.

    Raises:
        RaysweepError: the source does not exist or cannot be read.
    """
    if spec.startswith(TORCHVISION):
        from raysweep.write.sources.torchvision_sets import TorchvisionSource

        return TorchvisionSource(spec.removeprefix(TORCHVISION), root or Path("downloads"), download)
    path = Path(spec)
    _check_kind(path)
    from raysweep.write.sources.parquet import ParquetSource
    from raysweep.write.sources.parquet_columns import Wanted
    from raysweep.write.sources.parquet_files import is_set

    try:
        if is_set(path):
            return ParquetSource(path, Wanted(image_column, label_column))
    except OSError as error:
        raise unreadable(error, path) from None
    return _open_folder(path)


def _check_kind(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise RaysweepError(
            f"{printable(str(path))} cannot be used ({error.strerror}): give a class folder, a Parquet file or folder, "
            "or torchvision:CIFAR10."
        ) from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise RaysweepError(f"{printable(str(path))} is neither a file nor a folder.")


def _open_folder(path: Path) -> Source:
    from raysweep.write.sources.folder import FolderSource
    from raysweep.write.sources.other_formats import advice
    from raysweep.write.sources.parquet_files import files_below, is_image

    shown = printable(str(path))
    if not path.is_dir():
        raise RaysweepError(f"{shown} is not a Parquet file. Use a folder or a Parquet file.{advice([path.name])}")
    try:
        return FolderSource(path)
    except RaysweepError as error:
        names = list(islice(files_below(path), LOOKED_AT))
        how = advice(names)
        if how and not any(map(is_image, names)):
            raise RaysweepError(f"{shown} has neither class folders nor Parquet files.{how}") from None
        raise RaysweepError(f"{error}{how}") from None
