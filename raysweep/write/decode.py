"""Converts any picture to upright 8-bit RGB pixels. Runs when images are written, never in a trial."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from raysweep.data.opencv import Pixels, resize
from raysweep.write.sources.base import Picture

Image.MAX_IMAGE_PIXELS = None  # replaced by our own limit: Pillow's is a warning first, then another exception
MAX_SIDE = 65_500
"""The limit of JPEG; FFCV stores sides in 16 bits."""
MAX_BYTES = 1 << 30
"""Largest decoded image: FFCV's pages hold whole images and must stay below 4 GiB."""


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
    eight_bits = pixels if pixels.dtype == np.uint8 else _to_eight_bits(pixels)
    return np.repeat(eight_bits, 3, axis=2) if pixels.shape[2] == 1 else eight_bits[:, :, :3]


def _to_eight_bits(pixels: NDArray[Any]) -> Pixels:
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _from_bytes(data: bytes) -> Pixels:
    # Pillow refuses truncated pictures; OpenCV would fill the rest with grey.
    if not data:
        raise BadImageError("empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height * 3 > MAX_BYTES:
                raise BadImageError(f"too large: {image.width}x{image.height}")
            image.load()
            return _to_rgb_mode(ImageOps.exif_transpose(image))
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("not an image") from None
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise BadImageError(str(error) or type(error).__name__) from None


def _to_rgb_mode(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise BadImageError("32-bit pixels")
        return _from_array(values.astype(np.uint16))
    if image.mode == "F":
        raise BadImageError("floating-point pixels")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
