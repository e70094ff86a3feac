"""Contact sheet: example images after each pre-processing of a study."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import get_data_path
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.write.sources.generated import draw as draw_image

SIDE = 128
PHOTOGRAPH = "grace_hopper.jpg"
"""A sample image of matplotlib: a portrait by the US Navy, in the public domain."""
FACE = (80, 60, 400, 380)
"""Left, top, right and bottom of the square that is shown, px."""
GENERATED = (0, 9)
"""Classes of the generated images."""


@cache
def _examples() -> NDArray[np.uint8]:
    with Image.open(Path(get_data_path()) / "sample_data" / PHOTOGRAPH, formats=["JPEG"]) as file:
        photograph = file.convert("RGB").crop(FACE).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    random = np.random.Generator(np.random.PCG64(0))
    return np.stack([np.asarray(photograph), *(draw_image(label, SIDE, random) for label in GENERATED)])


def data(line: Line) -> pd.DataFrame:
    """One row per pre-processing and image: `preprocess`, `image` (its number), `pixels` ((side, side, 3), 8 bits).

    In the study's order. Empty if all variants have the same pre-processing, and for a search.
    """
    if line.is_search:
        return pd.DataFrame()
    names = list(dict.fromkeys(recipe.data.preprocess for recipe in line.recipes.values()))
    return pd.DataFrame(
        {"preprocess": name, "image": number, "pixels": np.broadcast_to(pixels, (SIDE, SIDE, 3))}
        for name in (names if len(names) > 1 else [])
        for number, pixels in enumerate(PREPROCESSINGS[name](_examples().copy()))
    )


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw images as the network receives them, before mean and scale."""
    names = list(dict.fromkeys(frame["preprocess"]))
    panels: list[list[Axes]] = style.split(ax, frame["image"].nunique(), len(names), wspace=0.02, hspace=0.02)
    row: Any
    for row in frame.itertuples():
        panel = panels[row.image][names.index(row.preprocess)]
        panel.imshow(row.pixels, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.set_axis_off()
        if row.image == 0:
            style.title(panel, row.preprocess)


NOTE = (
    "Pixels before mean and scale; channels of other colour spaces are shown as red, green and blue. A photograph (US "
    "Navy, public domain) and two generated images of 128 px, which are not from the study."
)
FIGURES.add("preprocessing", "example images after each pre-processing")(
    Figure(
        data,
        draw,
        stacked(0.25, 0.9, "image"),
        NOTE,
        order=9,
        width=lambda frame: max(3.2, 0.92 * frame["preprocess"].nunique()),
    )
)
