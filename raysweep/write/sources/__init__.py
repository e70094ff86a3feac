"""Sources of images: class folders, Parquet, and torchvision's CIFAR sets."""

from __future__ import annotations

from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Source

TORCHVISION = "torchvision:"


def open_source(spec: str, *, root: Path | None = None, download: bool = False) -> Source:
    """Open a source: a class folder, a Parquet file or folder, or `torchvision:CIFAR10`.

    Args:
        spec: its path or name.
        root: folder of torchvision's sets.
        download: download a torchvision set if it is missing.

    Raises:
        RaysweepError: the source does not exist or cannot be read.
    """
    if spec.startswith(TORCHVISION):
        from raysweep.write.sources.torchvision_sets import TorchvisionSource

        return TorchvisionSource(spec.removeprefix(TORCHVISION), root or Path("downloads"), download)
    path = Path(spec)
    if not path.exists():
        raise RaysweepError(
            f"there is no file or folder {spec}: use a class folder, a Parquet file or folder, or torchvision:CIFAR10."
        )
    if path.is_file() or any(next(path.glob(pattern), None) for pattern in ("*.parquet", "*/*.parquet")):
        from raysweep.write.sources.parquet import ParquetSource

        return ParquetSource(path)
    from raysweep.write.sources.folder import FolderSource

    return FolderSource(path)
