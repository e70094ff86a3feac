"""Images that tests make up, and the folders they lie in."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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


SIZES = [(30, 30), (31, 47), (52, 30), (30, 64), (77, 33), (30, 41), (45, 30), (36, 36)]
