"""OpenCV for 8-bit pixels, imported at first use: the import takes 0.07 s, and most trials never need it."""

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
    """The cv2 module, limited to the calling thread: the trial's own threads divide the images among them."""
    cv2 = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    return cv2


def resize(pixels: Pixels, height: int, width: int, method: str = "auto") -> Pixels:
    """Pixels (H, W, 3) resized; `auto` uses area interpolation to shrink a picture and cubic to enlarge it.

    Raises:
        RaysweepError: the method is unknown.
    """
    if method not in RESCALES:
        raise RaysweepError(f"unknown rescaling method {method!r}: use one of {', '.join(RESCALES)}.")
    if (height, width) == pixels.shape[:2]:
        return pixels
    cv2 = opencv()
    if method == "auto":
        method = "area" if height < pixels.shape[0] else "cubic"
    flag = getattr(cv2, f"INTER_{method.upper()}")
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=flag), np.uint8)
