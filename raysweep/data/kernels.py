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
import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

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
_copy = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))


PIXEL, PIXELS = 3, 5
"""Bytes of a pixel; whole pixels in a register of 16 bytes."""


@intrinsic  # type: ignore[untyped-decorator]
def _copy_pixel(typing_context: Any, target: Any, source: Any) -> Any:
    """One pixel from an address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, of = (builder.inttoptr(address, ir.IntType(8 * PIXEL).as_pointer()) for address in arguments)
        builder.store(builder.load(of, align=1), to, align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _mirror_5_pixels(typing_context: Any, target: Any, source: Any) -> Any:
    """Five pixels in reverse order; reads one byte more than they have, and writes one more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        register = ir.VectorType(ir.IntType(8), PIXEL * PIXELS + 1)
        to, of = (builder.inttoptr(address, register.as_pointer()) for address in arguments)
        pixels = builder.load(of, align=1)
        order = [PIXEL * place + byte for place in reversed(range(PIXELS)) for byte in range(PIXEL)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order) + 1), [*order, len(order)])
        builder.store(builder.shuffle_vector(pixels, pixels, mask), to, align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it: compiled again in every process
        return njit(nogil=True)(function)  # type: ignore[no-any-return]


@_compiled
def _mirror(target: int, source: int, pixels: int) -> None:
    """A row of pixels at an address, last pixel first, to another address.

    Five at a time: many times as fast as byte by byte. The last pixel of the source goes alone, so that nothing beyond
    the row is read, and so do the last ones of the target, so that nothing beyond it is written.
    """
    step, size = types.uintp(PIXELS), types.uintp(PIXEL)
    left = types.uintp(pixels - 1)
    _copy_pixel(target, source + left * size)
    target += size
    while left > step:
        left -= step
        _mirror_5_pixels(target, source + left * size)
        target += step * size
    while left > types.uintp(0):
        left -= types.uintp(1)
        _copy_pixel(target, source + left * size)
        target += size


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
    line = np.empty(side * 3, np.uint8)
    for k in range(where.shape[0]):
        i, top, left = where[k, 0], where[k, 1] - pad, where[k, 2] - pad
        height, width = heights[i], widths[i]
        if modes[i] == RAW:
            picture = store[starts[i] : starts[i] + sizes[i]]
        else:
            h, w = types.uint32(height), types.uint32(width)
            encoded, decoded = types.uintp(store.ctypes.data) + types.uintp(starts[i]), types.uintp(scratch.ctypes.data)
            none, one = types.uint32(0), types.uint32(1)
            if _decode(encoded, sizes[i], h, w, decoded, h, w, none, none, one, one, False, False) != 0:
                return k
            picture = scratch[: height * width * 3]
        base = types.uintp(picture.ctypes.data)
        first, last = max(0, -left), min(side, width - left)
        before, length = (side - last if where[k, 3] else first) * 3, types.uintp((last - first) * 3)
        for y in range(side):
            row = out[k, y].reshape(side * 3)
            if top + y < 0 or top + y >= height or first >= last:
                row[:] = 0
                continue
            if last - first < side:
                row[:] = 0
            source = base + types.uintp(((top + y) * width + left + first) * 3)
            target = types.uintp(row.ctypes.data) + types.uintp(before)
            if where[k, 3]:
                # By way of the cache: memory is read fastest forwards and in one go.
                _copy(types.uintp(line.ctypes.data), source, length)
                _mirror(target, types.uintp(line.ctypes.data), last - first)
            else:
                _copy(target, source, length)
    return int(where.shape[0])


def scratch(pixels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Room for one decoded picture of that many pixels."""
    return np.empty(pixels * 3, np.uint8)
