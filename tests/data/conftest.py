from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raysweep.data.generated import GeneratedSource
from raysweep.data.manifest import Manifest
from raysweep.data.sources import open_source
from raysweep.data.write import write_images

Folder = Callable[[Mapping[str, bytes | Image.Image]], Path]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(height: int = 20, width: int = 20, seed: int = 0) -> Image.Image:
    return Image.fromarray(noise(height, width, seed))


def tiny(seed: int = 0) -> dict[str, bytes | Image.Image]:
    """A class folder of two classes."""
    places = [f"{split}/{name}/{k}.png" for split in ("train", "val") for name in ("cat", "dog") for k in range(2)]
    return {place: picture(seed=seed + number) for number, place in enumerate(places)}


@pytest.fixture
def class_folder(tmp_path: Path) -> Folder:
    """Writes files given by path below a folder of the set; images as PNG."""

    def write(files: Mapping[str, bytes | Image.Image]) -> Path:
        for name, content in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else encoded(content))
        return tmp_path / "set"

    return write


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Manifest]]:
    """One generated set, 120 + 50 images of 40 px, stored both ways."""
    source = GeneratedSource(120, 50, side=40, seed=3)
    folders = {encoding: tmp_path_factory.mktemp("stored") / encoding for encoding in ("raw", "jpg")}
    return {encoding: (path, write_images(source, path, encoding=encoding)) for encoding, path in folders.items()}


SIZES = [(30, 30), (31, 47), (52, 30), (30, 64), (77, 33), (30, 41), (45, 30), (36, 36)]


@pytest.fixture(scope="session")
def mixed_sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Manifest]]:
    """32 + 8 images of several sizes, of two classes, stored both ways."""
    folder = tmp_path_factory.mktemp("mixed")
    for split, repeats in (("train", 4), ("val", 1)):
        for number, (height, width) in enumerate(SIZES * repeats):
            path = folder / "set" / split / f"class{number % 2}" / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(Image.fromarray(noise(height, width, number))))
    source = open_source(str(folder / "set"))
    return {
        encoding: (folder / encoding, write_images(source, folder / encoding, encoding=encoding))
        for encoding in ("raw", "jpg")
    }
