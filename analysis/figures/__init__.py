"""Figures: one file each with `data(line) -> frame` and `draw(frame, ax)`; `render` makes a picture of one.

A figure of several panels splits the place of `ax`. A figure over several lines, of what `raysweep init-stats` has
measured, or of architecture searches is an overview: its `data` takes all the evidence there is, and `caption` of a row
says where it is from.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.load import Line, load_searches
from raysweep.registry import Registry
from raysweep.store.schema import EVALUATIONS, INIT_STATS, RANKING
from raysweep.store.store import Store

STYLE = Path(__file__).parents[1] / "style.mplstyle"
CAPTION_COLOUR = "#555555"
CHARACTERS_PER_INCH = 18
"""Of the caption, at its size."""


Source = TypeVar("Source")


@dataclass(frozen=True)
class Evidence:
    """All that an overview may draw from."""

    lines: Sequence[Line]
    init_stats: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=INIT_STATS.names))
    """Rows of `raysweep.store.schema.INIT_STATS`."""
    searches: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EVALUATIONS.names))
    """Rows of `analysis.load.load_searches`, or of `searches_of`, which may know the `optimum`."""
    rankings: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RANKING.names))
    """Rows of `raysweep.store.schema.RANKING`, with the columns that tell rankings apart."""


@dataclass(frozen=True)
class Drawing(Generic[Source]):
    """Data and drawing apart: the one is a frame to test, the other turns it into a picture."""

    data: Callable[[Source], pd.DataFrame]
    """An empty frame where the figure says nothing of the source."""
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
        cut = f" Of more than {self.most} variants the best are shown." if full else ""
        return f"{self.note}{cut}{_crosses(frame)}"


def _crosses(frame: pd.DataFrame) -> str:
    """What the crosses of a drawing stand for: the variants of a frame that says in `crossed` why some have no mean."""
    if "crossed" not in frame or not frame["crossed"].any():
        return ""
    rows = frame[frame["crossed"] != ""].drop_duplicates(["variant", "crossed"])
    named = (f"{variant} ({why})" for variant, why in zip(rows["variant"], rows["crossed"], strict=True))
    return f" Without all seeds, or at a cross without any: {', '.join(named)}."


Figure = Drawing[Line]
Overview = Drawing[Evidence]
FIGURES: Registry[Figure] = Registry("figure")
OVERVIEWS: Registry[Overview] = Registry("overview")


@cache
def figures() -> Registry[Figure]:
    """The figures of a line, with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return FIGURES


def overviews() -> Registry[Overview]:
    """The figures over all lines, with every file of this folder loaded."""
    figures()
    return OVERVIEWS


def gather(store: Store, lines: Sequence[Line]) -> Evidence:
    """What overviews draw from: these lines, their searches, and all rankings and init-stats of the store.

    A search with shared weights has no trials; it comes with a study of what it found, as `nas-enas-best` is one.
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
    """The whole picture: the drawing in the house style, and under it the caption."""
    with style.context(STYLE):
        width, height = figure.size(frame)
        said, room = f"{caption} {figure.words(frame)}", int(width * CHARACTERS_PER_INCH)
        lines = textwrap.wrap(said, room, break_on_hyphens=False)
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
