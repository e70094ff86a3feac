"""OpenCV for pixels of 8 bits. Imported at the first use: it costs 0.07 s that most trials do not need."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.validate import RESCALES

Pixels = NDArray[np.uint8]


@cache
def opencv() -> Any:
    """The module, told to work in the thread that calls it: images are shared among the trial's own threads."""
    cv2 = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    return cv2


def resize(pixels: Pixels, height: int, width: int, method: str = "auto") -> Pixels:
    """Pixels (H, W, 3) in another size; `auto`: area where the picture shrinks, cubic where it grows.

    Raises:
        RaysweepError: unknown method.
    """
    if method not in RESCALES:
        raise RaysweepError(f"rescale is {method!r}: use {', '.join(RESCALES)}.")
    if (height, width) == pixels.shape[:2]:
        return pixels
    cv2 = opencv()
    if method == "auto":
        method = "area" if height < pixels.shape[0] else "cubic"
    flag = getattr(cv2, f"INTER_{method.upper()}")
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=flag), np.uint8)
