"""The only place where images of unknown origin are opened.

Pillow knows formats whose decoders start other programs, as Ghostscript for PostScript, and chooses by content whatever
the name of a file: it may use those of `FORMATS` only. Nothing but regular files is opened: reading a FIFO or a device
might never end.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO

from PIL import Image, UnidentifiedImageError

from raysweep.write.sources.base import MAX_ENCODED

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""The formats that are read, whatever the names of the files; also TGA if the file ends as version 2 of it does."""
TGA_END = b"TRUEVISION-XFILE.\0"
"""The end of a TGA file: without it, Pillow takes all kinds of bytes for one, as TGA has nothing at its start."""
Image.MAX_IMAGE_PIXELS = None  # replaced by our own limit: Pillow's is a warning first, then another exception


def open_image(file: IO[bytes]) -> Image.Image:
    """Open an image in one of `FORMATS` without decoding its pixels.

    Raises:
        UnidentifiedImageError: it has none of them.
    """
    with suppress(OSError):  # shorter than its end would be
        file.seek(-len(TGA_END), io.SEEK_END)
    formats = (*FORMATS, "TGA") if file.read() == TGA_END else FORMATS
    return Image.open(file, formats=formats)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file; anything else is refused, without waiting for whoever may write to it.

    Raises:
        OSError: it is none, or cannot be read.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 (returned)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def may_be_image(path: str) -> bool:
    """Whether a file has the start of an image, or cannot be read."""
    try:
        with open_regular(path) as file, warnings.catch_warnings(action="ignore"):
            if os.fstat(file.fileno()).st_size > MAX_ENCODED:
                return False
            with open_image(file):
                return True
    except UnidentifiedImageError:
        return False
    except Exception:  # found again, and named, when the image is decoded
        return True
