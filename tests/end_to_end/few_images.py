"""A small part of a real image set."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def few_images(source: Path, target: Path, *, train: int, test: int) -> Path:
    """A Parquet file of so many images of every class."""
    table = pq.read_table(source)
    parts = []
    for split, count in (("train", train), ("test", test)):
        of_split = table.filter(pc.equal(table["split"], split))
        labels = pc.unique(of_split["label"]).to_pylist()
        parts += [of_split.filter(pc.equal(of_split["label"], label)).slice(0, count) for label in labels]
    pq.write_table(pa.concat_tables(parts), target)
    return target
