"""Figures: one file each with `data(line) -> frame` and `draw(frame, caption) -> figure`; `figures()` lists them.

Draw and save under `matplotlib.pyplot.style.context(STYLE)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.registry import Registry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

    from analysis.load import Line

STYLE = Path(__file__).parents[1] / "style.mplstyle"


@dataclass(frozen=True)
class Figure:
    """Data and drawing apart: the one is a frame to test, the other turns it into a picture."""

    data: Callable[[Line], pd.DataFrame]
    draw: Callable[[pd.DataFrame, str], Canvas]
    order: int
    """Place in a report."""


FIGURES: Registry[Figure] = Registry("figure")


@cache
def figures() -> Registry[Figure]:
    """The registry with every file of this folder loaded."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return FIGURES
