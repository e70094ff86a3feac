"""Sets as torchvision stores them in a local folder. Images in files are opened here and never by torchvision."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.errors import RaysweepError, unknown
from raysweep.import_torchvision import import_torchvision
from raysweep.write.sources.base import Samples, Source
from raysweep.write.sources.folder import FolderSamples
from raysweep.write.sources.memory import MemorySamples


@dataclass(frozen=True)
class Layout:
    """How a set of torchvision is asked for its splits, and where it keeps images and labels."""

    splits: Mapping[str, Mapping[str, Any]]
    """Split -> arguments; a set with training images only has no `test`."""
    images: str = "data"
    """Attribute with pixels, or with the paths of files; or with pairs of paths and labels if `labels` is empty."""
    labels: str = "targets"


def _named(train: str, test: str) -> dict[str, dict[str, Any]]:
    return {"train": {"split": train}, "test": {"split": test}}


BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
FLAG = Layout(BY_FLAG)
FILES = Layout(_named("train", "test"), "_image_files", "_labels")
LAYOUTS = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "USPS"), FLAG),
    **dict.fromkeys(("SVHN", "STL10"), Layout(_named("train", "test"), labels="labels")),
    **dict.fromkeys(("Food101", "Flowers102", "DTD", "FGVCAircraft"), FILES),
    "OxfordIIITPet": Layout(_named("trainval", "test"), "_images", "_labels"),
    "GTSRB": Layout(_named("train", "test"), "_samples", ""),
    "Imagenette": Layout(_named("train", "val"), "_samples", ""),
    "Country211": Layout(_named("train", "test"), "samples", ""),
    "EuroSAT": Layout({"train": {}}, "samples", ""),
}
"""The sets that can be written, by torchvision's name."""


class TorchvisionSource(Source):
    """One of torchvision's sets in the folder `root`."""

    def __init__(self, name: str, root: Path, download: bool = False) -> None:
        """`name` is torchvision's name; `download` downloads the set if it is missing.

        Raises:
            RaysweepError: the set is unknown, missing or damaged.
        """
        if name not in LAYOUTS:
            raise unknown("torchvision set", name, LAYOUTS)
        layout = LAYOUTS[name]
        self.name, self.spec = name.lower(), f"torchvision:{name}"
        loaded = {split: _load(name, root, how, download) for split, how in layout.splits.items()}
        self.splits = {split: _samples(data, layout, split, root) for split, data in loaded.items()}
        names = getattr(loaded["train"], "classes", None)
        count = 1 + max(int(samples.labels.max(initial=0)) for samples in self.splits.values())
        self.classes = tuple(map(_text, names)) if names else tuple(map(str, range(count)))


def _text(name: Any) -> str:
    """The first of several names of a class."""
    return str(name[0]) if isinstance(name, tuple) else str(name)


def _samples(data: Any, layout: Layout, split: str, root: Path) -> Samples:
    images = getattr(data, layout.images)
    if not layout.labels:
        return _files([path for path, _ in images], [label for _, label in images], root)
    labels = getattr(data, layout.labels)
    if layout.images != "data":
        return _files(images, labels, root)
    pixels = np.asarray(images)
    if pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[3] != 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    return MemorySamples(pixels, np.asarray(labels, np.int64), split)


def _files(paths: Any, labels: Any, root: Path) -> Samples:
    places = (os.path.relpath(path, root) for path in paths)
    return FolderSamples(root, zip(map(int, labels), places, strict=True))


def _load(name: str, root: Path, how: Mapping[str, Any], download: bool) -> Any:
    # torchvision verifies the MD5 of CIFAR's files before it unpickles them; it unpickles no others of these sets.
    make = getattr(import_torchvision().datasets, name)
    try:
        return make(root=str(root), **how, download=download)
    except (RuntimeError, OSError, ValueError, LookupError, ImportError) as error:
        step = "Check the network and the free space, and repeat the command" if download else "Add --download"
        raise RaysweepError(
            f"torchvision's {name} is not complete in {root} ({error}). {step}, or give its folder with --root."
        ) from None
