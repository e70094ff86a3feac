"""FFCV reads a file of ours: `python -m tests.write.ffcv_reads FILE.beton OUT.npz CROP`, in a process of its own.

Its loader goes through the file in every way it has of reading it: mapped and page by page, in order and page-random.
FFCV's compiler is off, which changes none of its code and saves half a minute.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np


def import_ffcv() -> types.ModuleType:
    """FFCV without the numba dictionary that it compiles at import, which takes 3 s."""
    typed: Any = importlib.import_module("numba.typed")
    original, typed.Dict = typed.Dict, dict
    try:
        return importlib.import_module("ffcv")
    finally:
        typed.Dict = original


import_ffcv()

from ffcv import Loader  # noqa: E402
from ffcv.fields.decoders import IntDecoder  # noqa: E402
from ffcv.fields.rgb_image import ResizedCropRGBImageDecoder, encode_jpeg  # noqa: E402
from ffcv.loader import OrderOption  # noqa: E402
from ffcv.pipeline.compiler import Compiler  # noqa: E402
from ffcv.reader import Reader  # noqa: E402

WAYS = {
    "mapped": (True, OrderOption.SEQUENTIAL),
    "pages": (False, OrderOption.SEQUENTIAL),
    "page-random": (False, OrderOption.QUASI_RANDOM),
}


class Centre(ResizedCropRGBImageDecoder):  # type: ignore[misc]
    """The centre as it is: a resize between equal sizes is a copy."""

    def __init__(self, crop: int) -> None:
        super().__init__((crop, crop))
        self.crop = crop
        self.scale = self.ratio = 1

    @property
    def get_crop_generator(self) -> Any:
        """Where the crop is."""
        crop = self.crop

        def place(height: int, width: int, scale: float, ratio: float) -> tuple[int, int, int, int]:
            return (int(height) - crop) // 2, (int(width) - crop) // 2, crop, crop

        return place


def read(path: str, way: str, crop: int) -> tuple[Any, Any]:
    """All crops and labels in index order."""
    os_cache, order = WAYS[way]
    pipelines = {"image": [Centre(crop)], "label": [IntDecoder()]}
    options = {"os_cache": os_cache, "order": order, "drop_last": False, "seed": 3, "pipelines": pipelines}
    loader = Loader(path, batch_size=16, num_workers=1, **options)
    orders: list[Any] = []  # asked again, the page-random order is another
    traversal, make = loader.traversal_order, loader.traversal_order.sample_order
    traversal.sample_order = lambda epoch: orders.append(make(epoch)) or orders[-1]
    batches = [(images.copy(), labels.copy()) for images, labels in loader]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    back = np.argsort(np.array(orders[-1]).astype(int))
    return images[back], labels[back].reshape(-1)


def main(path: str, out: str, crop: str) -> None:
    """Read it in all ways; also encode the first crop, and record where the stored bytes are."""
    Compiler.set_enabled(False)
    found: dict[str, Any] = {}
    for way in WAYS:
        found[f"{way} images"], found[f"{way} labels"] = read(path, way, int(crop))
    reader = Reader(path)
    found |= {"pages": np.array(reader.page_size), "places": reader.alloc_table, "metadata": reader.metadata}
    found["jpeg"] = encode_jpeg(found["mapped images"][0], 90)
    np.savez(Path(out), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
