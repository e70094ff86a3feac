"""Makes the FFCV files of the sets from shards. Can be interrupted at any point and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from raysweep.write.beton_writer import BetonWriter
from raysweep.write.staging import Staging


def assemble(staging: Staging, labels: Mapping[str, NDArray[np.int64]]) -> None:
    """Move the images of all shards into the files of their splits, in order, and write the tables of the files.

    The place of an image depends on the sizes of the images before it only, which the tables of the shards keep.

    Raises:
        RaysweepError: a shard is damaged.
        OSError: the disk is full or fails.
    """
    folders = [staging.folder(name) for name in staging.job.forms]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for split, values in labels.items():
        good = staging.good(split)
        stored = staging.rows[split]["stored"][good]
        with ExitStack() as stack:
            files = [
                stack.enter_context(closing(BetonWriter(folder / f"{split}.beton", stored[:, k], len(values))))
                for k, folder in enumerate(folders)
            ]
            for indices in staging.shards(split):
                if parts := staging.read(split, indices):  # otherwise moved before an interruption
                    for file, data in zip(files, parts, strict=True):
                        file.put(int(np.searchsorted(good, indices[0])), data.data)
                        file.sync()
                    staging.discard(split, indices)
            for file in files:
                file.finish(values[good])
