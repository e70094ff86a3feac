"""Writes images that are in memory, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.data.manifest import FILE_NAME, read_manifest
from raysweep.write.sources import completed
from raysweep.write.sources.memory import MemorySource
from raysweep.write.write_sets import write_sets


def write_from_memory(
    splits: Mapping[str, tuple[Any, Any]],
    folder: Path,
    classes: Sequence[str] | None = None,
    holdout: float | None = None,
    **options: Any,
) -> Path:
    """Write images and labels of `train` and perhaps `test` to a folder, unless it has them already.

    `classes`, `holdout` and the result are those of `raysweep.write_images`; `options` are those of `write_sets`.

    Raises:
        RaysweepError: images or labels that cannot be used, or a folder with other images.
    """
    source = completed(MemorySource(folder.name, splits, classes), holdout)
    if (folder / FILE_NAME).is_file() and not options.get("overwrite"):
        there = read_manifest(folder)
        if there.source == source.spec and options.get("side") in (None, there.short_side):
            return folder
    write_sets(source, folder, **options)
    return folder
