"""Figures: one file each with `data(line) -> frame` and `draw(frame, ax)`; `render` makes a picture of one."""

from __future__ import annotations

import importlib
import io
import pkgutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import style
from matplotlib.figure import Figure as Canvas

from raysweep.registry import Registry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from analysis.load import Line

STYLE = Path(__file__).parents[1] / "style.mplstyle"
CAPTION_COLOUR = "#555555"
CHARACTERS_PER_INCH = 18
"""Of the caption, at its size."""


@dataclass(frozen=True)
class Figure:
    """Data and drawing apart: the one is a frame to test, the other turns it into a picture."""

    data: Callable[[Line], pd.DataFrame]
    """An empty frame where the figure says nothing of a line."""
    draw: Callable[[pd.DataFrame, Axes], None]
    size: Callable[[pd.DataFrame], tuple[float, float]]
    """Inches that the frame needs to be legible."""
    note: str
    """What the marks mean, for the caption."""
    order: int
    """Place in a report."""
    most: int | None = None
    """Variants that are drawn at most."""

    def words(self, frame: pd.DataFrame) -> str:
        """The note, and what else a reader of this frame must know."""
        full = self.most is not None and frame["variant"].nunique() >= self.most
        return f"{self.note} Of more than {self.most} variants the best are shown." if full else self.note


FIGURES: Registry[Figure] = Registry("figure")


@cache
def figures() -> Registry[Figure]:
    """The registry with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return FIGURES


def render(figure: Figure, frame: pd.DataFrame, caption: str) -> Canvas:
    """The whole picture: the drawing in the house style, and under it the caption."""
    with style.context(STYLE):
        width, height = figure.size(frame)
        lines = textwrap.wrap(f"{caption} {figure.words(frame)}", int(width * CHARACTERS_PER_INCH))
        canvas = Canvas(figsize=(width, height + 0.14 * len(lines)), layout="constrained")
        # Left edge and size by hand: supxlabel reserves the room, text() would not.
        canvas.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color=CAPTION_COLOUR, parse_math=False)
        figure.draw(frame, canvas.add_subplot())
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")  # laid out once; saving would do it again for each format
    return canvas


def save(canvas: Canvas, stem: Path) -> bytes:
    """Write SVG and PNG next to each other; returns the SVG. The same results give the same bytes."""
    image = io.BytesIO()
    with style.context(STYLE):  # resolution, and how SVG holds text, are read when saving
        canvas.savefig(image, format="svg", metadata={"Date": None})
        canvas.savefig(stem.with_name(f"{stem.name}.png"))
    stem.with_name(f"{stem.name}.svg").write_bytes(image.getvalue())
    return image.getvalue()
