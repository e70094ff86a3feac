"""Figures: each has `data(line) -> frame` and `draw(frame, ax)`; `render` turns one into a picture.

A figure of several panels replaces `ax` with a grid. A figure over several lines, of the results of `raysweep
init-stats`, or of architecture searches is an overview: its `data` takes all evidence, and each row has a `caption`
with its origin.
"""

from __future__ import annotations

import importlib
import io
import math
import pkgutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import pandas as pd

from raysweep.analysis.load import Line, load_searches
from raysweep.analysis.own_matplotlib import own_style
from raysweep.registry import Registry
from raysweep.safe import printable
from raysweep.store.schema import EVALUATIONS, INIT_STATS, RANKING
from raysweep.store.store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

CAPTION_COLOUR = "#555555"
WIDTH_INCHES = 7.4
CHARACTERS_PER_INCH = 18
"""Characters of the caption per inch of width."""
Source = TypeVar("Source")


@dataclass(frozen=True)
class Evidence:
    """Everything that an overview can use."""

    lines: Sequence[Line]
    init_stats: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=INIT_STATS.names))
    """Rows of `raysweep.store.schema.INIT_STATS`."""
    searches: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EVALUATIONS.names))
    """Rows of `raysweep.analysis.load.load_searches`, or of `searches_of`, which can have an `optimum`."""
    rankings: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RANKING.names))
    """Rows of `raysweep.store.schema.RANKING`, with the columns that identify rankings."""

    def of(self, *studies: str) -> list[Line]:
        """The lines of these studies that have a result."""
        return [line for line in self.lines if line.study in studies and not line.finished.empty]


@dataclass(frozen=True)
class Drawing(Generic[Source]):
    """A figure with its computation separate from its drawing, so that the frame between them can be tested."""

    data: Callable[[Source], pd.DataFrame]
    """Returns an empty frame if the figure has nothing to show of the source."""
    draw: Callable[[pd.DataFrame, Axes], None]
    height: Callable[[pd.DataFrame], float]
    """Height in inches that makes the frame legible."""
    note: str
    """The meaning of the marks, for the caption."""
    order: int
    """Position in a report."""
    most: int | None = None
    """Largest number of variants that are drawn."""
    width: Callable[[pd.DataFrame], float] = lambda _: WIDTH_INCHES

    def words(self, frame: pd.DataFrame) -> str:
        """The note, followed by variants that are left out or have missing seeds."""
        full = self.most is not None and frame["variant"].nunique() >= self.most
        cut = f" Only the best {self.most} variants are shown." if full else ""
        return f"{self.note}{cut}{_crosses(frame)}"


def stacked(base: float, inches: float, *columns: str, across: int = 1) -> Callable[[pd.DataFrame], float]:
    """A height of `base` and some inches for each row of panels, with a panel for each distinct value of the columns.

    `across` is the number of panels side by side.
    """
    return lambda frame: base + inches * math.ceil(len(frame.drop_duplicates([*columns])) / across)


def _crosses(frame: pd.DataFrame) -> str:
    """A sentence on the variants with missing seeds, which `crossed` of a frame gives the reasons for."""
    if "crossed" not in frame or not frame["crossed"].any():
        return ""
    rows = frame[frame["crossed"] != ""].drop_duplicates(["variant", "crossed"])
    names = (f"{variant} ({why})" for variant, why in zip(rows["variant"], rows["crossed"], strict=True))
    return f" Missing seeds (a cross: all are missing): {', '.join(names)}."


Figure = Drawing[Line]
Overview = Drawing[Evidence]
FIGURES: Registry[Figure] = Registry("figure")
OVERVIEWS: Registry[Overview] = Registry("overview")


@cache
def figures() -> Registry[Figure]:
    """The figures of a line; imports every module of this package first."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return FIGURES


def overviews() -> Registry[Overview]:
    """The overviews; imports every module of this package first."""
    figures()
    return OVERVIEWS


def gather(store: Store, lines: Sequence[Line]) -> Evidence:
    """The evidence for overviews: these lines, their searches, and all rankings and init-stats of the store.

    A search with shared weights has no trials; it is included with a study of its results, such as `nas-enas-best`.
    """
    searches, shown = load_searches(store), {(line.study, line.line) for line in lines}
    sharing = searches["trial"].isna().groupby(searches["search"]).transform("all")
    keys = zip(searches["study"], searches["line"], sharing, strict=True)
    own = [
        (study, line) in shown or (shares and any(known.startswith(f"{study}-") for known, _ in shown))
        for study, line, shares in keys
    ]
    found = searches.loc[own].reset_index(drop=True)
    return Evidence(lines, store.init_stats().to_pandas(), found, store.rankings().to_pandas())


def render(figure: Drawing[Source], frame: pd.DataFrame, caption: str) -> Canvas:
    """The whole picture: the drawing in the common style, with the caption below."""
    from matplotlib.figure import Figure as Canvas

    frame = frame.map(lambda cell: printable(cell) if isinstance(cell, str) else cell)
    with own_style():
        width, height = figure.width(frame), figure.height(frame)
        text, room = printable(f"{caption} {figure.words(frame)}"), int(width * CHARACTERS_PER_INCH)
        lines = textwrap.wrap(text, room, break_on_hyphens=False)
        canvas = Canvas(figsize=(width, height + 0.14 * len(lines)), layout="constrained")
        # supxlabel reserves room for the caption, text() would not; so left edge and size are set here.
        canvas.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color=CAPTION_COLOUR)
        figure.draw(frame, canvas.add_subplot())
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")  # the layout is done; otherwise saving would repeat it for each format
    return canvas


def save(canvas: Canvas, stem: Path) -> bytes:
    """Write SVG and PNG side by side, and return the SVG. The same results give the same bytes."""
    image = io.BytesIO()
    with own_style():  # the resolution and the text mode of SVG are read when saving
        canvas.savefig(image, format="svg", metadata={"Date": None})
        canvas.savefig(stem.with_name(f"{stem.name}.png"))
    stem.with_name(f"{stem.name}.svg").write_bytes(image.getvalue())
    return image.getvalue()
