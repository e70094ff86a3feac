"""A contact sheet: a few images of each class in a row, as one PNG file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from raysweep.data.opencv import Pixels
from raysweep.safe import printable
from raysweep.write.look import THUMBNAIL

GAP = 4
TEXT_WIDTH = 180
TEXT_LETTERS = 26
BORDERS = {"train": "white", "test": "orange"}
"""Colour around the images of a split."""


def contact_sheet(images: Mapping[str, Sequence[tuple[str, Pixels]]], title: str) -> bytes:
    """A PNG file with a row for each class: its name, then images, those of the test split with an orange border."""
    step = THUMBNAIL + GAP
    most = max(map(len, images.values()), default=0)
    sheet = Image.new("RGB", (TEXT_WIDTH + step * max(most, 6), step * (len(images) + 1)), "black")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), _text(title, 90), "white")
    for number, (name, row) in enumerate(images.items(), start=1):
        draw.text((GAP, number * step + step // 2 - GAP), _text(name, TEXT_LETTERS), "white")
        for column, (split, pixels) in enumerate(row):
            left, top = TEXT_WIDTH + column * step, number * step
            box = (left - 1, top - 1, left + pixels.shape[1], top + pixels.shape[0])
            draw.rectangle(box, outline=BORDERS.get(split, "white"))
            sheet.paste(Image.fromarray(pixels), (left, top))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _text(text: str, letters: int) -> str:
    """One line of characters that the built-in font has."""
    line = printable(text).encode("latin-1", "backslashreplace").decode("latin-1")
    return line if len(line) <= letters else line[: letters - 3] + "..."
