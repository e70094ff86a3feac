"""Accuracy against complexity, after Canziani, Paszke & Culurciello 2016 (arXiv 1605.07678, figures 1, 2 and 10).

Top-1 against multiply-accumulates with parameters as area and the Pareto front, and top-1 per million parameters, for
studies with several networks. On ImageNet protocols the published networks of `complexity.csv` are included.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from raysweep.analysis.figures import FIGURES, Figure
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS

FILE = Path(__file__).parents[1] / "complexity.csv"
OURS = "ours"
COLOURS = {OURS: "C0", "torchvision": "C1", "TF-Slim 2016": "C2", "original weights": "C3", "paper": "C4"}
IMAGENET = frozenset({"imagenet128"})
"""Protocols with numbers that can be compared with published ones."""
AREA_PER_MILLION = 3.2
"""Area of a mark in square points per million parameters."""
LEAST_AREA = 9.0
FACES = {True: 0.75, False: 0.25}
"""Opacity of our marks (True) and of published ones."""
PLACES = ((6, 0, "left"), (-6, 0, "right"), (0, 8, "center"), (0, -8, "center"), (7, 7, "left"), (-7, -7, "right"))
"""Possible places of a name near its mark: shift in points and horizontal alignment."""
BAR_INCHES = 0.2


@cache
def published_networks() -> pd.DataFrame:
    """The rows of `complexity.csv` with `name`, `top1` (points), `params` and `macs`."""
    rows = pd.read_csv(FILE)
    sizes = {"params": rows["params_m"] * 1e6, "macs": rows["macs_g"] * 1e9}
    found = rows.assign(name=rows["network"], top1=METRICS["top1"].of(rows), n=1, **sizes)
    return found.drop_duplicates(["network", "source"])  # the first of several trainings is the original one


def data(line: Line) -> pd.DataFrame:
    """One row per network: `name`, `source`, `top1` (points), `params`, `macs`, `n` (seeds).

    Ours are means over the finished seeds of variants; ImageNet protocols also have the published rows. Empty if all
    variants have the same network.
    """
    networks = {recipe.network.name for recipe in line.recipes.values()}
    if line.is_search or len(networks) < 2 or line.trained.empty:
        return pd.DataFrame(columns=["name", "source", "top1", "params", "macs", "n"])
    values = line.trained.assign(value=METRICS["top1"].of)
    groups = values.groupby("variant", sort=False)
    ours = groups.agg(top1=("value", "mean"), params=("params", "first"), macs=("macs", "first"), n=("seed", "nunique"))
    found = ours.rename_axis("name").reset_index().assign(source=OURS)
    if line.protocol not in IMAGENET:
        return found
    return pd.concat([found, published_networks()[[*found.columns]]], ignore_index=True)


def front(frame: pd.DataFrame) -> pd.DataFrame:
    """The Pareto front, by MACs: the rows for which no other one is more accurate with at most as many MACs."""
    ordered = frame.sort_values(["macs", "top1"], ascending=[True, False])
    return ordered[ordered["top1"] > ordered["top1"].cummax().shift(fill_value=-np.inf)]


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw marks by source, the largest first so that none hides another, and names as far as there is room."""
    for ours, rows in frame.groupby(frame["source"] == OURS):
        best = front(rows)
        ax.plot(best["macs"], best["top1"], color=COLOURS[OURS] if ours else "#888888", lw=0.9, alpha=0.6,
                drawstyle="steps-post", zorder=2)  # fmt: skip
    for (_, source), row in frame.sort_values("params", ascending=False).groupby(["params", "source"], sort=False):
        options: dict[str, Any] = {"color": COLOURS[str(source)], "alpha": FACES[source == OURS], "zorder": 3}
        ax.scatter(row["macs"], row["top1"], row["params"].map(_area), **options)
    ax.set_xscale("log")
    ax.margins(0.12)
    ax.set_xlabel("multiply-accumulates per image")
    style.log_ticks(ax.xaxis, METRICS["macs"].text, (1, 2, 5))
    ax.set_ylabel(METRICS["top1"].label)
    _name_sources(frame, ax, "o", 0.6)
    _name_marks(frame, ax)


def _name_sources(frame: pd.DataFrame, ax: Axes, marker: str, alpha: float) -> None:
    sources = [source for source in COLOURS if source in set(frame["source"])]
    style.legend_above(
        ax, [Line2D([], [], ls="", marker=marker, color=COLOURS[name], alpha=alpha, label=name) for name in sources]
    )


def _area(params: Any) -> float:
    return float(max(LEAST_AREA, AREA_PER_MILLION * params / 1e6))


def _name_marks(frame: pd.DataFrame, ax: Axes) -> None:
    """Name our marks first, then the most accurate ones; a name that would cover another one is left out."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # moves the marks to their final places
    taken: list[Bbox] = []
    ordered = frame.assign(ours=frame["source"] == OURS).sort_values(["ours", "top1"], ascending=False)
    for entry in ordered.drop_duplicates("name").itertuples():
        for text in _candidates(ax, entry):
            box = text.get_window_extent().padded(1)
            inside = ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _candidates(ax: Axes, entry: Any) -> Iterator[Any]:
    radius = (_area(entry.params) / np.pi) ** 0.5
    for x, y, side in PLACES:
        shift = (x + np.sign(x) * (radius - 2), y + np.sign(y) * (radius - 2))
        shade = "#222222" if entry.source == OURS else "#777777"
        yield ax.annotate(entry.name, (entry.macs, entry.top1), shift, textcoords="offset points", ha=side, va="center",
                          fontsize=6.5, color=shade)  # fmt: skip


def density(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with `density`, points of top-1 per million parameters, the largest first."""
    values = frame["top1"] / (frame["params"] / 1e6)
    return frame.assign(density=values.astype(float)).sort_values("density", ascending=False, ignore_index=True)


def draw_density(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one bar per network, the densest on top, on a logarithmic axis."""
    colours = [COLOURS[source] for source in frame["source"]]
    ax.barh(range(len(frame)), frame["density"], color=colours, height=0.7)
    ax.set_xscale("log")
    style.name_rows(ax, [str(name) for name in frame["name"]])
    ax.set_xlabel("points of top-1 per million parameters")
    style.log_ticks(ax.xaxis, "{:g}".format)
    for row, density in enumerate(frame["density"]):
        style.right_of(ax, row, f"{density:,.0f}" if density >= 100 else f"{density:.3g}", 6, 7)
    _name_sources(frame, ax, "s", 1)


AREAS = "The area of a mark grows with the parameters; steps: Pareto fronts."
NOTE = (
    "Ours: means over seeds. Published: ImageNet at the networks' own image sizes, shown only for ImageNet protocols; "
    "sources in analysis/complexity.csv."
)
FIGURES.add("complexity", "accuracy against multiply-accumulates; area: parameters", "Canziani et al. 2016")(
    Figure(data, draw, lambda frame: 3.6 if len(frame) < 25 else 5.0, f"{AREAS} {NOTE}", order=4)
)
FIGURES.add("density", "accuracy per parameter", "Canziani et al. 2016")(
    Figure(lambda line: density(data(line)), draw_density, lambda frame: 0.85 + BAR_INCHES * len(frame), NOTE, order=5)
)
