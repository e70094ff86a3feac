"""Makes the FFCV files of the sets from shards. Can be interrupted at any point and repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raysweep.write.beton_writer import BetonWriter
from raysweep.write.staging import Staging

SYNC_SHARDS = 8
"""Number of shards that are copied before the copies are flushed to disk and the originals are deleted."""


def assemble(staging: Staging, labels: Mapping[str, NDArray[np.int64]]) -> None:
    """Move the images of all shards into the files of their splits, in order, and write the tables of the files.

    The place of an image depends on the sizes of the images before it only, which the tables of the shards keep.

    Raises:
        RaysweepError: a shard is damaged.
        OSError: the disk is full or fails.
    """
    forms = list(staging.job.forms)
    for name in forms:
        staging.folder(name).mkdir(parents=True, exist_ok=True)
    for split, values in labels.items():
        good = staging.good(split)
        stored = staging.rows[split]["stored"][good]
        files = [
            BetonWriter(staging.folder(name) / f"{split}.beton", stored[:, k], len(values))
            for k, name in enumerate(forms)
        ]
        try:
            _move_shards(staging, split, good, files)
            for file in files:
                file.finish(values[good])
        finally:
            for file in files:
                file.close()


def _move_shards(staging: Staging, split: str, good: NDArray[np.int64], files: Sequence[BetonWriter]) -> None:
    copied: list[range] = []
    for _, indices in (shard for shard in staging.shards() if shard[0] == split):
        if not (parts := staging.read(split, indices)):
            continue  # moved before an interruption
        for file, data in zip(files, parts, strict=True):
            file.put(int(np.searchsorted(good, indices[0])), data.data)
        copied.append(indices)
        if len(copied) == SYNC_SHARDS:
            _delete(staging, split, copied, files)
    _delete(staging, split, copied, files)


def _delete(staging: Staging, split: str, copied: list[range], files: Sequence[BetonWriter]) -> None:
    """Delete the bytes of shards that have been copied, when the disk has the copy."""
    for file in files:
        file.sync()
    for indices in copied:
        staging.discard(split, indices)
    copied.clear()
