"""The inner loops over stored images, as numba compiles them; imported only where they are not compiled yet.

They work on addresses alone: nothing is allocated and no error raised, so that the compiled code needs neither numba
nor Python and loads in milliseconds; see `native`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from raysweep.data.beton import RAW
from raysweep.data.compiled import DECODER

_decode = types.ExternalFunction(
    DECODER,
    types.int32(types.uintp, types.uint64, *[types.uint32] * 2, types.uintp, *[types.uint32] * 6, *[types.boolean] * 2),
)
_copy = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))
_fill = types.ExternalFunction("memset", types.uintp(types.uintp, types.int32, types.uintp))

PIXEL, PIXELS = 3, 5
"""Bytes of a pixel; whole pixels in a register of 16 bytes."""
INTEGERS = types.CPointer(types.int64)
TABLES = (types.CPointer(types.uint64), types.CPointer(types.uint64), types.CPointer(types.uint8), INTEGERS, INTEGERS)
"""Starts, sizes, modes, heights and widths of the images."""


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


@njit(inline="always")  # type: ignore[untyped-decorator]
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


@njit(inline="always")  # type: ignore[untyped-decorator]
def _decoded(source: int, size: int, height: int, width: int, target: int) -> bool:
    """Decode one JPEG to an address; false where it cannot be decoded."""
    h, w, none, one = types.uint32(height), types.uint32(width), types.uint32(0), types.uint32(1)
    return bool(_decode(source, size, h, w, target, h, w, none, none, one, one, False, False) == 0)


def cut(
    store: int,
    starts: Any,
    sizes: Any,
    modes: Any,
    heights: Any,
    widths: Any,
    where: Any,
    count: int,
    side: int,
    pad: int,
    scratch: int,
    line: int,
    out: int,
) -> int:
    """As `kernels.cut`; `line` is room for one row of a crop."""
    row_bytes = types.uintp(side * PIXEL)
    row = out
    for k in range(count):
        i, top, left = where[4 * k], where[4 * k + 1] - pad, where[4 * k + 2] - pad
        mirrored, height, width = where[4 * k + 3], heights[i], widths[i]
        base = store + types.uintp(starts[i])
        if modes[i] != RAW:
            if not _decoded(base, sizes[i], height, width, scratch):
                return k
            base = scratch
        first, last = max(0, -left), min(side, width - left)
        before, length = types.uintp((side - last if mirrored else first) * PIXEL), types.uintp((last - first) * PIXEL)
        for y in range(side):
            if top + y < 0 or top + y >= height or first >= last:
                _fill(row, types.int32(0), row_bytes)
            else:
                if last - first < side:
                    _fill(row, types.int32(0), row_bytes)
                source = base + types.uintp(((top + y) * width + left + first) * PIXEL)
                if mirrored:
                    # By way of the cache: memory is read fastest forwards and in one go.
                    _copy(line, source, length)
                    _mirror(row + before, line, last - first)
                else:
                    _copy(row + before, source, length)
            row += row_bytes
    return count


def unpack(
    store: int, starts: Any, sizes: Any, modes: Any, heights: Any, widths: Any, first: int, count: int, out: int
) -> int:
    """As `kernels.unpack`."""
    for i in range(first, first + count):
        base, length = store + types.uintp(starts[i]), types.uintp(heights[i] * widths[i] * PIXEL)
        if modes[i] == RAW:
            _copy(out, base, length)
        elif not _decoded(base, sizes[i], heights[i], widths[i], out):
            return i - first
        out += length
    return count


def normalise(source: Any, blocks: int, size: int, rest: int, means: Any, scale: float, out: Any) -> int:
    """As `kernels.normalise`, of `blocks` times `size` bytes and the `rest`; `means` repeats those of the channels.

    Block by block, since a loop that knows nothing of channels converts whole registers at a time.
    """
    first = 0
    for _ in range(blocks):
        for k in range(size):
            out[first + k] = (types.float32(source[first + k]) - means[k]) * scale
        first += size
    for k in range(rest):
        out[first + k] = (types.float32(source[first + k]) - means[k]) * scale
    return first + rest


ADDRESS, NUMBER = types.uintp, types.int64
BYTES, FLOATS = types.CPointer(types.uint8), types.CPointer(types.float32)
SIGNATURES: dict[Callable[..., Any], Any] = {
    cut: NUMBER(ADDRESS, *TABLES, INTEGERS, NUMBER, NUMBER, NUMBER, ADDRESS, ADDRESS, ADDRESS),
    unpack: NUMBER(ADDRESS, *TABLES, NUMBER, NUMBER, ADDRESS),
    normalise: NUMBER(BYTES, NUMBER, NUMBER, NUMBER, FLOATS, types.float32, FLOATS),
}


def compiled() -> dict[str, tuple[str, str]]:
    """For the name of every loop its symbol and its optimised LLVM code, for this processor."""
    made = {loop.__name__: cfunc(signature)(loop) for loop, signature in SIGNATURES.items()}
    return {name: (function.native_name, function.inspect_llvm()) for name, function in made.items()}
