"""CIFAR-10 and CIFAR-100 as torchvision stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError, unknown
from raysweep.import_torchvision import import_torchvision
from raysweep.write.sources.base import Read, Samples, Source

SETS = ("CIFAR10", "CIFAR100")


class ArraySamples(Samples):
    """Pixels in memory."""

    def __init__(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], split: str) -> None:
        """`pixels` (N, H, W, 3), `labels` (N,); `split` is used in names."""
        super().__init__(labels)
        self._pixels = pixels
        self._split = split

    def name(self, index: int) -> str:
        """Split and number of the image."""
        return f"{self._split} image {index}"

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The pixels."""
        return np.asarray(self._pixels[index])

    def fetch(self, indices: Sequence[int]) -> Read:
        """The pixels of these images."""
        return {index: self.picture(index) for index in indices}.__getitem__


class TorchvisionSource(Source):
    """One of torchvision's sets in the folder `root`."""

    def __init__(self, name: str, root: Path, download: bool = False) -> None:
        """`name` is torchvision's name; `download` downloads the set if it is missing.

        Raises:
            RaysweepError: the set is unknown, missing or damaged.
        """
        if name not in SETS:
            raise unknown("torchvision set", name, SETS)
        self.name, self.spec = name.lower(), f"torchvision:{name}"
        loaded = {split: _load(name, root, split == "train", download) for split in ("train", "test")}
        self.classes = tuple(loaded["train"].classes)
        self.splits = {
            split: ArraySamples(np.asarray(data.data, np.uint8), np.asarray(data.targets, np.int64), split)
            for split, data in loaded.items()
        }


def _load(name: str, root: Path, train: bool, download: bool) -> Any:
    # torchvision verifies the MD5 of these files before it unpickles them.
    make = getattr(import_torchvision().datasets, name)
    try:
        return make(root=str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        step = "Check the network and the free space, and repeat the command" if download else "Add --download"
        raise RaysweepError(
            f"torchvision's {name} is not complete in {root} ({error}). {step}, or give its folder with --root."
        ) from None
