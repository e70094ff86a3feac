"""Converts any picture to upright 8-bit RGB pixels. Runs when images are written, never in a trial."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from raysweep.data.opencv import Pixels, resize
from raysweep.write.sources.base import MAX_ENCODED, Picture
from raysweep.write.sources.open_image import open_image

PNG_START = b"\x89PNG\r\n\x1a\n"
LFS_START = b"version https://git-lfs"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
MAX_SIDE = 65_500
"""The limit of JPEG; FFCV stores sides in 16 bits."""
MAX_BYTES = 1 << 30
"""Largest decoded image: FFCV's pages hold whole images and must stay below 4 GiB."""
STRIP = 1 << 24
"""Pixels that are converted at a time, so that only one copy of a large image is in memory besides the decoder's."""
EIGHT_BITS = ((np.arange(1 << 16) * 255 + 32767) // 65535).astype(np.uint8)
"""The 8-bit value of every 16-bit one."""


FLOATS = "floating-point pixels"


class BadImageError(Exception):
    """A picture that cannot be stored, with the reason."""


def to_rgb(picture: Picture, side: int | None = None, rescale: str = "auto") -> Pixels:
    """Upright RGB pixels (H, W, 3), with the short side resized to `side`, if given, by the method `rescale`.

    Raises:
        BadImageError: not an image, damaged, or too large to be stored.
    """
    pixels = upright(picture)
    height, width = _target(pixels.shape[0], pixels.shape[1], side)
    if max(height, width) > MAX_SIDE or height * width * 3 > MAX_BYTES:
        raise BadImageError(f"too large to be stored: {width}x{height}")
    return np.ascontiguousarray(resize(pixels, height, width, rescale))


def upright(picture: Picture) -> Pixels:
    """Upright RGB pixels (H, W, 3) in the original size.

    Raises:
        BadImageError: not an image, damaged, or too large to be decoded.
    """
    return _from_array(picture) if isinstance(picture, np.ndarray) else _from_bytes(picture)


def _target(height: int, width: int, side: int | None) -> tuple[int, int]:
    if side is None or min(height, width) == side:
        return height, width
    factor = side / min(height, width)
    return max(side, round(height * factor)), max(side, round(width * factor))


def _from_array(pixels: NDArray[Any]) -> Pixels:
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise BadImageError(f"pixels of shape {pixels.shape}: only (H, W) and (H, W, 1, 3 or 4) can be stored")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise BadImageError(f"pixels of type {pixels.dtype}: only uint8 and uint16 can be stored")
    eight_bits = pixels if pixels.dtype == np.uint8 else EIGHT_BITS[pixels]
    return np.repeat(eight_bits, 3, axis=2) if pixels.shape[2] == 1 else eight_bits[:, :, :3]


def _from_bytes(data: bytes) -> Pixels:
    # Pillow refuses truncated pictures; OpenCV would fill the rest with grey.
    if not data:
        raise BadImageError("empty")
    if len(data) > MAX_ENCODED:
        raise BadImageError(f"too large: {len(data):,} bytes")
    try:
        try:
            return _decoded(data)
        except Exception:
            if (pixels_only := _without_metadata(data)) == data:
                raise
            return _decoded(pixels_only)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(_unidentified(data)) from None
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise BadImageError(str(error) or type(error).__name__) from None


def _decoded(data: bytes) -> Pixels:
    with open_image(io.BytesIO(data)) as image:
        if image.width * image.height * 3 > MAX_BYTES:
            raise BadImageError(f"too large: {image.width}x{image.height}")
        image.load()
        with suppress(Exception):  # an orientation that cannot be read is none
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb_mode(image)


def _without_metadata(data: bytes) -> bytes:
    """A PNG file with the parts that decide on pixels only: Pillow refuses whole images for damaged times or texts."""
    if not data.startswith(PNG_START):
        return data
    kept, at = [PNG_START], len(PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] in PNG_PIXELS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _unidentified(data: bytes) -> str:
    """Why Pillow cannot open a file."""
    with suppress(Exception):  # a TIFF file with several floating-point channels is unknown to it
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        if 3 in directory[TiffImagePlugin.SAMPLEFORMAT]:
            return FLOATS
    if data.startswith(LFS_START):
        return "not an image but a pointer of Git LFS: fetch the images with `git lfs pull`"
    return "not an image in a known format"


def _to_rgb_mode(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise BadImageError("32-bit pixels")
        return _from_array(values.astype(np.uint16))
    if image.mode == "F":
        raise BadImageError(FLOATS)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height))) if rows < image.height else image
        pixels[top : top + rows] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return pixels
