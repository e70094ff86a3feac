"""Predict with an export, on images prepared exactly as those of the test split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raysweep.data.beton import JPG, Beton
from raysweep.data.image_file import ImageFile
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import TestStream
from raysweep.errors import RaysweepError
from raysweep.export.network import empty_network
from raysweep.identity import recipe_from_json
from raysweep.write.decode import BadImageError
from raysweep.write.encode import encode
from raysweep.write.forms import Form

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".avif"})
BATCH = 64
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What the network says of an image."""

    path: str
    predicted: str
    probability: float
    label: str = ""
    """The class folder that the image is in; empty if that is no class of the network."""
    error: str = ""
    """Why the image cannot be read."""

    @property
    def is_wrong(self) -> bool:
        """Whether the label is known and another one."""
        return bool(self.label) and self.label != self.predicted


@dataclass(frozen=True)
class Export:
    """An export that has been loaded."""

    network: Any
    how: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the outputs."""
        return list(self.how["classes"])

    def pixels(self, picture: bytes) -> Pixels:
        """The centre crop of an image, (side, side, 3), as in a test.

        Raises:
            BadImageError: it cannot be read.
        """
        # As `data write` stores an image and a test reads it: JPEG changes pixels too. In a mixed set the number of an
        # image decides between JPEG and pixels; an image from elsewhere has none.
        encoding = "raw" if self.how["encoding"] == "raw" else "jpg"
        form = Form(self.how["short_side"], self.how["rescale"], encoding, self.how["quality"])
        ((fields, content),) = encode(picture, 0, [form])
        crops = TestStream(_file(fields, content), side=self.how["side"], scale=self.how["test_scale"], batch_size=1)
        return np.ascontiguousarray(crops.batch(0).images[0])

    def predict(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        """Probabilities (N, outputs) of crops (side, side, 3)."""
        prepared = PREPROCESSINGS[self.how["preprocess"]](np.stack(crops))
        pixels = torch.from_numpy(prepared.astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            shares: NDArray[np.float32] = self.network(pixels).softmax(1).numpy()
        return shares


def _file(fields: Sequence[int], content: bytes) -> ImageFile:
    """One stored image, with the fields of `raysweep.write.encode.STORED`, opened for reading."""
    size, _, height, width, mode = fields
    beton = Beton(
        path=Path("image"),
        store=np.frombuffer(content, np.uint8),
        starts=np.zeros(1, np.uint64),
        sizes=np.array([size], np.uint64),
        modes=np.array([mode], np.uint8),
        heights=np.array([height], np.int64),
        widths=np.array([width], np.int64),
        labels=np.zeros(1, np.int64),
    )
    return ImageFile(beton, height * width if mode == JPG else 0)


def open_export(folder: Path) -> Export:
    """Load an export.

    Raises:
        RaysweepError: the folder has none, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:  # not model.pt2, which may hold pickled objects
        how = json.loads((folder / "preprocess.json").read_text())
        network = empty_network(recipe_from_json(how["recipe"]))
        weights = load_file(folder / "model.safetensors")
        # What is no tensor counts the batches that a normalisation has seen, which only training needs.
        tensors = {
            name: weights[name] for name, value in network.state_dict().items() if isinstance(value, torch.Tensor)
        }
        network.load_state_dict(tensors, strict=False)
    except FileNotFoundError:
        raise RaysweepError(f"{folder} has no export: make one with `raysweep export TRIAL --out {folder}`.") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RaysweepError):
            raise
        raise RaysweepError(f"the export in {folder} is damaged ({type(error).__name__}: {error}).") from None
    return Export(network, how)


def image_files(path: Path) -> list[Path]:
    """The images of a folder on all levels, or the file itself.

    Raises:
        RaysweepError: there is none.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise RaysweepError(f"{path} has no images ({', '.join(sorted(SUFFIXES))}).")
    return files


def predictions(export: Export, files: Sequence[Path]) -> Iterator[tuple[Prediction, Pixels | None]]:
    """A prediction for each image with its crop, in order; an image that cannot be read has an error instead."""
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        crops: dict[Path, Pixels] = {}
        errors: dict[Path, str] = {}
        for file in part:
            try:
                crops[file] = export.pixels(file.read_bytes())
            except (BadImageError, OSError) as error:
                errors[file] = str(error)
        shares = dict(zip(crops, export.predict(list(crops.values())), strict=True)) if crops else {}
        for file in part:
            label = file.parent.name if file.parent.name in export.classes else ""
            if file in errors:
                yield Prediction(str(file), "", 0.0, label, errors[file]), None
            else:
                best = int(shares[file].argmax())
                yield Prediction(str(file), export.classes[best], float(shares[file][best]), label), crops[file]
