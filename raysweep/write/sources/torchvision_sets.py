"""CIFAR-10 and CIFAR-100 as torchvision stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError, unknown
from raysweep.write.sources.base import Held, Labelled

SETS = ("CIFAR10", "CIFAR100")
_declared: list[Any] = []
"""A torch.library.Library takes its operators with it when it is collected."""


class ArraySamples(Labelled):
    """Pixels in memory."""

    def __init__(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], split: str) -> None:
        """`pixels` (N, H, W, 3), `labels` (N,), `split` for names."""
        super().__init__(labels)
        self._pixels = pixels
        self._split = split

    def name(self, index: int) -> str:
        """Split and position in it."""
        return f"{self._split} image {index}"

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The pixels."""
        return np.asarray(self._pixels[index])

    def fetch(self, indices: Sequence[int]) -> Held:
        """Their pixels: a worker needs no others."""
        return Held({index: self.picture(index) for index in indices})


class TorchvisionSource:
    """One of torchvision's sets below `root`."""

    def __init__(self, name: str, root: Path, download: bool = False) -> None:
        """`name` as torchvision spells it; `download` fetches the set if it is not there.

        Raises:
            RaysweepError: unknown set, not there, or its files are damaged.
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
    # torchvision unpickles these files only after their md5 has been found right.
    make = getattr(import_torchvision().datasets, name)
    try:
        return make(root=str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        raise RaysweepError(
            f"torchvision's {name} is not complete in {root} ({error}). Fetch it with --download, or name with "
            "--root the folder that holds it."
        ) from None


def import_torchvision() -> ModuleType:
    """torchvision, also where its build does not match torch's.

    The ordinary torchvision is linked against CUDA and cannot register its compiled operators beside a CPU build of
    torch; its import then stops at two operators that are not there. Declaring them is enough for all but those two.
    """
    import torch

    if torch.version.cuda is None and torch.version.hip is None and not _declared:
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
    import torchvision

    return torchvision  # type: ignore[no-any-return]
