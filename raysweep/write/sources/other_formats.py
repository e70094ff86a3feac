"""Formats of image sets that are recognised, in order to say how to convert them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from raysweep.safe import printable

COLUMNS = "store the images in Parquet columns `image` (bytes) and `label`, or as files in class folders"
UNPACK = "unpack it; a WebDataset is read as it is if its archives are .tar, not compressed"
FORMATS = {
    ".arrow": (
        "Arrow files",
        'convert each split with the `datasets` package: load_from_disk(...)["train"].to_parquet("train.parquet")',
    ),
    ".beton": ("FFCV files", "give the images they were written from"),
    **dict.fromkeys((".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar"), ("archives", UNPACK)),
    **dict.fromkeys((".npy", ".npz", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".pt"), ("arrays", COLUMNS)),
    **dict.fromkeys((".tfrecord", ".tfrecords", ".mdb", ".lmdb", ".rec"), ("records", COLUMNS)),
}
"""What a suffix stands for, and what to do."""


def advice(names: Iterable[str]) -> str:
    """What other formats these files have and how to convert them; empty if none is known."""
    found: dict[tuple[str, str], str] = {}
    for name in names:
        if known := FORMATS.get(PurePath(name).suffix.casefold()):
            found.setdefault(known, name)
    return "".join(f" It has {what}, such as {printable(name)}: {how}." for (what, how), name in found.items())
