"""The compiled inner loops as functions of arrays: stored images to crops and pixels, pixels to network inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raysweep.data.compiled import loops

if TYPE_CHECKING:
    from raysweep.data.beton import Beton

PIXEL = 3
"""Bytes of a pixel."""
BLOCK_PIXELS = 64
"""Pixels that `normalise` takes at a time: a whole number of registers whatever the channels."""


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
    `pad` px. Fewer done than asked: the next one cannot be decoded.
    """
    side = out.shape[1]
    line = np.empty(side * PIXEL, np.uint8)
    tables = _tables(store, starts, sizes, modes, heights, widths)
    places = _address(where, np.int64)
    room, target = (_address(array, np.uint8) for array in (scratch, out))
    return loops().cut(*tables, places, len(where), side, pad, room, line.ctypes.data, target)


def unpack(beton: Beton, first: int, count: int, out: NDArray[np.uint8]) -> int:
    """Decode whole images, one after another, into the bytes `out`; returns how many are done, as `cut` does."""
    tables = _tables(beton.store, beton.starts, beton.sizes, beton.modes, beton.heights, beton.widths)
    return loops().unpack(*tables, first, count, _address(out, np.uint8))


def normalise(
    images: NDArray[np.uint8], means: Sequence[float], scale: float, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """scale * (images - mean), channels last, in 32 bits and rounded after each step, as torch does it in two passes.

    `means` has one number, or one for each of the C channels of `images` (..., C); the result goes to `out`, if given.
    """
    images = np.ascontiguousarray(images)
    channels = images.shape[-1]
    pattern = np.tile(np.broadcast_to(np.asarray(means, np.float32), channels), BLOCK_PIXELS)
    out = np.empty(images.shape, np.float32) if out is None else out
    source, target = _address(images, np.uint8), _address(out, np.float32)
    blocks, rest = divmod(images.size, len(pattern))
    loops().normalise(source, blocks, len(pattern), rest, _address(pattern, np.float32), scale, target)
    return out


def _tables(store: Any, starts: Any, sizes: Any, modes: Any, heights: Any, widths: Any) -> list[int]:
    wide = (_address(array, np.uint64) for array in (starts, sizes))
    sides = (_address(array, np.int64) for array in (heights, widths))
    return [_address(store, np.uint8), *wide, _address(modes, np.uint8), *sides]


def _address(array: NDArray[Any], kind: type[np.generic]) -> int:
    # The loops take any address for what they expect there.
    if array.dtype != kind or not array.flags.c_contiguous:
        raise TypeError(f"an array of {array.dtype}, strides {array.strides}, where contiguous {kind.__name__} belongs")
    return int(array.ctypes.data)


def scratch(pixels: int) -> NDArray[np.uint8]:
    """Room for one decoded picture of that many pixels."""
    return np.empty(pixels * PIXEL, np.uint8)
