"""The compiled inner loop: stored images to crops. Compiled once per machine, then loaded from numba's cache.

JPEG is decoded by FFCV's own library, called by name so that the compiled code can be kept on disk. numba keeps it in
NUMBA_CACHE_DIR, or in `__pycache__`, or where that may not be written in the user's cache folder.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit, types

from raysweep.data.beton import RAW
from raysweep.errors import RaysweepError

DECODER = "raysweep_ffcv_imdecode"


def _load_library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("ffcv")  # looks, but does not import: that costs seconds and sets torch's threads
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("_libffcv*")]
    if not found:
        raise RaysweepError("FFCV is not installed: run `make setup` in a checkout of raysweep.")
    library = ctypes.CDLL(str(found[0]))
    llvm.add_symbol(DECODER, ctypes.cast(library.imdecode, ctypes.c_void_p).value)
    return library


_library = _load_library()
"""Stays loaded: compiled code calls into it."""
_decode = types.ExternalFunction(
    DECODER,
    types.int32(types.uintp, types.uint64, *[types.uint32] * 2, types.uintp, *[types.uint32] * 6, *[types.boolean] * 2),
)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it: compiled again in every process
        return njit(nogil=True)(function)  # type: ignore[no-any-return]


@_compiled
def cut(
    store: Any,
    starts: Any,
    sizes: Any,
    modes: Any,
    heights: Any,
    widths: Any,
    where: Any,
    pad: int,
    scratch: Any,
    out: Any,
) -> int:
    """Decode images and cut their crops into `out` (N, side, side, 3); returns how many are done.

    `where` (N, 4) has index, top, left and mirrored or not; top and left count from the corner of the black border of
    `pad` px. Fewer done than asked: the next one cannot be decoded.
    """
    side = out.shape[1]
    for k in range(where.shape[0]):
        i, top, left = where[k, 0], where[k, 1] - pad, where[k, 2] - pad
        height, width = heights[i], widths[i]
        if modes[i] == RAW:
            picture = store[starts[i] : starts[i] + sizes[i]]
        else:
            h, w = types.uint32(height), types.uint32(width)
            source, target = types.uintp(store.ctypes.data) + types.uintp(starts[i]), types.uintp(scratch.ctypes.data)
            none, one = types.uint32(0), types.uint32(1)
            if _decode(source, sizes[i], h, w, target, h, w, none, none, one, one, False, False) != 0:
                return k
            picture = scratch[: height * width * 3]
        first, last = max(0, -left), min(side, width - left)
        for y in range(side):
            row = out[k, y]
            if top + y < 0 or top + y >= height:
                row[:] = 0
                continue
            start = ((top + y) * width + left) * 3
            if not where[k, 3]:
                flat = row.reshape(side * 3)
                flat[: first * 3] = 0
                flat[first * 3 : last * 3] = picture[start + first * 3 : start + last * 3]
                flat[last * 3 :] = 0
                continue
            row[: side - last] = 0
            row[side - first :] = 0
            for x in range(first, last):
                for channel in range(3):
                    row[side - 1 - x, channel] = picture[start + x * 3 + channel]
    return int(where.shape[0])


def scratch(pixels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Room for one decoded picture of that many pixels."""
    return np.empty(pixels * 3, np.uint8)
