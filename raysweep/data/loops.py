"""The compiled inner loops: stored images to crops and pixels, pixels to network inputs.

numba compiles them at the first import on a machine, which takes some seconds; every later process loads the code in a
fraction of a second. They work on addresses, and Python's lock is released while one runs.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from raysweep.data.beton import RAW
from raysweep.data.compiling import compiled
from raysweep.errors import RaysweepError

DECODER = "raysweep_ffcv_imdecode"
PIXEL, PIXELS = 3, 5
"""Bytes of a pixel; whole pixels in a register of 16 bytes."""
BLOCK_PIXELS = 64
"""Pixels that `normalise` takes at a time: a whole number of registers for any number of channels."""


def _ffcv_library() -> ctypes.CDLL:
    """FFCV's own library, with its decoder registered by name in LLVM.

    It is found and loaded without importing FFCV, which would cost seconds and set torch's threads.

    Raises:
        RaysweepError: FFCV is not installed.
    """
    spec = importlib.util.find_spec("ffcv")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("_libffcv*")]
    if not found:
        raise RaysweepError("FFCV is not installed: run `make setup` in a checkout of raysweep.")
    library = ctypes.CDLL(str(found[0]))
    llvm.add_symbol(DECODER, ctypes.cast(library.imdecode, ctypes.c_void_p).value)
    return library


FFCV = _ffcv_library()


_decode = types.ExternalFunction(
    DECODER,
    types.int32(types.uintp, types.uint64, *[types.uint32] * 2, types.uintp, *[types.uint32] * 6, *[types.boolean] * 2),
)
_copy = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))
_fill = types.ExternalFunction("memset", types.uintp(types.uintp, types.int32, types.uintp))


def _array(kind: Any, dimensions: int = 1, readonly: bool = True) -> Any:
    return types.Array(kind, dimensions, "C", readonly=readonly)


BYTES, INTEGERS, ADDRESSES = _array(types.uint8), _array(types.int64), _array(types.uint64)
ROOM = _array(types.uint8, readonly=False)
TABLES = (BYTES, ADDRESSES, ADDRESSES, BYTES, INTEGERS, INTEGERS)
"""The stored bytes; starts, sizes, modes, heights and widths of the images: `Beton.tables`."""


@intrinsic  # type: ignore[untyped-decorator]
def _copy_pixel(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy one pixel from an address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, of = (builder.inttoptr(address, ir.IntType(8 * PIXEL).as_pointer()) for address in arguments)
        builder.store(builder.load(of, align=1), to, align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _mirror_5_pixels(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy five pixels in reverse order; reads one byte more than they have, and writes one more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        register = ir.VectorType(ir.IntType(8), PIXEL * PIXELS + 1)
        to, of = (builder.inttoptr(address, register.as_pointer()) for address in arguments)
        pixels = builder.load(of, align=1)
        order = [PIXEL * place + byte for place in reversed(range(PIXELS)) for byte in range(PIXEL)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order) + 1), [*order, len(order)])
        builder.store(builder.shuffle_vector(pixels, pixels, mask), to, align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@njit  # type: ignore[untyped-decorator]
def _mirror(target: int, source: int, pixels: int) -> None:
    """Copy a row of pixels from one address to another, last pixel first.

    Five at a time, which is many times as fast as byte by byte. The last pixel of the source is copied separately, so
    that nothing beyond the row is read, and so are the last ones of the target, so that nothing beyond it is written.
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


@njit  # type: ignore[untyped-decorator]
def _decoded(source: int, size: int, height: int, width: int, target: int) -> bool:
    """Decode one JPEG to an address; returns false if it cannot be decoded."""
    h, w, none, one = types.uint32(height), types.uint32(width), types.uint32(0), types.uint32(1)
    return bool(_decode(source, size, h, w, target, h, w, none, none, one, one, False, False) == 0)


@njit  # type: ignore[untyped-decorator]
def _cut_one(
    picture: int, height: int, width: int, top: int, left: int, mirrored: int, side: int, line: int, row: int
) -> None:
    """Copy a crop of a picture to the address `row`, black outside the picture; `line` is room for one row."""
    row_bytes = types.uintp(side * PIXEL)
    first, last = max(0, -left), min(side, width - left)
    before, length = types.uintp((side - last if mirrored else first) * PIXEL), types.uintp((last - first) * PIXEL)
    for y in range(side):
        inside = 0 <= top + y < height and first < last
        if not inside or last - first < side:
            _fill(row, types.int32(0), row_bytes)
        if inside:
            source = picture + types.uintp(((top + y) * width + left + first) * PIXEL)
            if mirrored:
                # By way of the cache: memory is read fastest forwards and in one go.
                _copy(line, source, length)
                _mirror(row + before, line, last - first)
            else:
                _copy(row + before, source, length)
        row += row_bytes


@compiled(types.int64(*TABLES, _array(types.int64, 2), types.int64, ROOM, _array(types.uint8, 4, readonly=False)))
def cut(
    store: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    sizes: NDArray[np.uint64],
    modes: NDArray[np.uint8],
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    where: NDArray[np.int64],
    pad: int,
    scratch: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> int:
    """Decode images and cut their crops into `out` (N, side, side, 3); returns how many are done.

    `where` (N, 4) has index, top, left and mirrored or not; top and left count from the corner of the black border of
    `pad` px. If fewer are done than asked for, the next one cannot be decoded.
    """
    side = out.shape[1]
    line = np.empty(side * PIXEL, np.uint8)
    row = types.uintp(out.ctypes.data)
    for k in range(len(where)):
        i = where[k, 0]
        picture = types.uintp(store.ctypes.data) + types.uintp(starts[i])
        if modes[i] != RAW:
            room = types.uintp(scratch.ctypes.data)
            if not _decoded(picture, sizes[i], heights[i], widths[i], room):
                return k
            picture = room
        top, left = where[k, 1] - pad, where[k, 2] - pad
        _cut_one(picture, heights[i], widths[i], top, left, where[k, 3], side, types.uintp(line.ctypes.data), row)
        row += types.uintp(side * side * PIXEL)
    return len(where)


@compiled(types.int64(*TABLES, types.int64, types.int64, ROOM))
def unpack(
    store: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    sizes: NDArray[np.uint64],
    modes: NDArray[np.uint8],
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    first: int,
    count: int,
    out: NDArray[np.uint8],
) -> int:
    """Decode whole images, one after another, into the bytes `out`; returns how many are done, as `cut` does."""
    target = types.uintp(out.ctypes.data)
    for i in range(first, first + count):
        picture = types.uintp(store.ctypes.data) + types.uintp(starts[i])
        length = types.uintp(heights[i] * widths[i] * PIXEL)
        if modes[i] == RAW:
            _copy(target, picture, length)
        elif not _decoded(picture, sizes[i], heights[i], widths[i], target):
            return i - first
        target += length
    return count


@compiled(types.void(BYTES, _array(types.float32), types.float32, _array(types.float32, readonly=False)))
def _normalise(source: NDArray[np.uint8], means: NDArray[np.float32], scale: float, out: NDArray[np.float32]) -> None:
    """Scale and centre in blocks as long as `means`: a loop without channels fills whole registers."""
    done = types.uintp(0)
    for _ in range(len(source) // len(means)):
        for k in range(len(means)):
            at = done + types.uintp(k)
            out[at] = (types.float32(source[at]) - means[k]) * scale
        done += types.uintp(len(means))
    for k in range(len(source) % len(means)):
        at = done + types.uintp(k)
        out[at] = (types.float32(source[at]) - means[k]) * scale


def normalise(
    images: NDArray[np.uint8], means: Sequence[float], scale: float, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """scale * (images - mean), channels last, in 32 bits and rounded after each step, as by torch in two passes.

    `means` has one number, or one for each of the C channels of `images` (..., C); the result goes to `out`, if given.
    """
    pattern = np.tile(np.broadcast_to(np.asarray(means, np.float32), images.shape[-1]), BLOCK_PIXELS)
    out = np.empty(images.shape, np.float32) if out is None else out
    _normalise(np.ascontiguousarray(images).reshape(-1), pattern, scale, out.reshape(-1, copy=False))
    return out


def scratch(pixels: int) -> NDArray[np.uint8]:
    """Room for one decoded picture of that many pixels."""
    return np.empty(pixels * PIXEL, np.uint8)
