"""Where images come from: class folders, Parquet, torchvision's CIFAR sets."""

from __future__ import annotations

from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Source

TORCHVISION = "torchvision:"


def open_source(spec: str, *, root: Path | None = None, download: bool = False) -> Source:
    """The source that a text names: a class folder, a Parquet file or folder, or `torchvision:CIFAR10`.

    `root` is where torchvision's sets lie; with `download` one that is not there is fetched.

    Raises:
        RaysweepError: nothing there, or nothing that can be read.
    """
    if spec.startswith(TORCHVISION):
        from raysweep.write.sources.torchvision_sets import TorchvisionSource

        return TorchvisionSource(spec.removeprefix(TORCHVISION), root or Path("downloads"), download)
    path = Path(spec)
    if not path.exists():
        raise RaysweepError(
            f"there is no file or folder {spec}: name a class folder, a Parquet file or folder, or torchvision:CIFAR10."
        )
    if path.is_file() or any(next(path.glob(pattern), None) for pattern in ("*.parquet", "*/*.parquet")):
        from raysweep.write.sources.parquet import ParquetSource

        return ParquetSource(path)
    from raysweep.write.sources.folder import FolderSource

    return FolderSource(path)
