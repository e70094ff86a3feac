"""Accuracy against complexity, after Canziani, Paszke & Culurciello 2016 (arXiv 1605.07678, figures 1, 2 and 10).

Top-1 against multiply-accumulates with parameters as area and the Pareto front, and top-1 per million parameters. For
studies whose networks differ; on the protocols of ImageNet the published ones of `complexity.csv` stand beside ours.
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
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from analysis.figures import FIGURES, Figure
from analysis.load import Line
from analysis.metrics import METRICS
from raysweep.identity import recipe_from_json

FILE = Path(__file__).parents[1] / "complexity.csv"
OURS = "ours"
COLOURS = {OURS: "C0", "torchvision": "C1", "TF-Slim 2016": "C2", "original weights": "C3", "paper": "C4"}
"""Source -> colour."""
IMAGENET = frozenset({"imagenet128"})
"""Protocols whose numbers stand beside published ones."""
AREA_PER_MILLION = 3.2
"""Square points of a mark for each million parameters."""
LEAST_AREA = 9.0
FACES = {True: 0.75, False: 0.25}
"""Opacity of our marks and of published ones."""
PLACES = ((6, 0, "left"), (-6, 0, "right"), (0, 8, "center"), (0, -8, "center"), (7, 7, "left"), (-7, -7, "right"))
"""Where beside a mark its name may stand: shift in points, and which side of the name is there."""
BAR_INCHES = 0.2


@cache
def published_networks() -> pd.DataFrame:
    """The rows of `complexity.csv` with `name`, `top1` (points), `params` and `macs`."""
    rows = pd.read_csv(FILE)
    sizes = {"params": rows["params_m"] * 1e6, "macs": rows["macs_g"] * 1e9}
    found = rows.assign(name=rows["network"], top1=METRICS["top1"].of(rows), n=1, **sizes)
    return found.drop_duplicates(["network", "source"])  # of several trainings the first, as published with it


def data(line: Line) -> pd.DataFrame:
    """One row a network: `name`, `source`, `top1` (points), `params`, `macs`, `n` (seeds); empty if all are one.

    Ours are the means over seeds of variants that have finished. Published rows come with protocols of ImageNet.
    """
    if line.is_search or len(_networks(line)) < 2 or line.finished.empty:
        return pd.DataFrame(columns=["name", "source", "top1", "params", "macs", "n"])
    values = line.finished.assign(value=METRICS["top1"].of)
    groups = values.groupby("variant", sort=False)
    ours = groups.agg(top1=("value", "mean"), params=("params", "first"), macs=("macs", "first"), n=("seed", "nunique"))
    found = ours.rename_axis("name").reset_index().assign(source=OURS)
    if line.protocol not in IMAGENET:
        return found
    return pd.concat([found, published_networks()[[*found.columns]]], ignore_index=True)


def _networks(line: Line) -> set[str]:
    return {recipe_from_json(recipe).network.name for recipe in line.trials.drop_duplicates("variant")["recipe"]}


def front(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other one beats in both: as many multiply-accumulates or fewer, and more accurate; by MACs."""
    ordered = frame.sort_values(["macs", "top1"], ascending=[True, False])
    return ordered[ordered["top1"] > ordered["top1"].cummax().shift(fill_value=-np.inf)]


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Marks by source, largest first so that none hides another; names wherever there is room."""
    for ours, rows in frame.groupby(frame["source"] == OURS):
        best = front(rows)
        ax.plot(best["macs"], best["top1"], color=COLOURS[OURS] if ours else "#888888", lw=0.9, alpha=0.6,
                drawstyle="steps-post", zorder=2)  # fmt: skip
    for (_, source), row in frame.sort_values("params", ascending=False).groupby(["params", "source"], sort=False):
        look: dict[str, Any] = {"color": COLOURS[str(source)], "alpha": FACES[source == OURS], "zorder": 3}
        ax.scatter(row["macs"], row["top1"], row["params"].map(_area), **look)
    ax.set_xscale("log")
    ax.margins(0.12)
    ax.set_xlabel("multiply-accumulates of one image")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: METRICS["macs"].text(value))
    ax.xaxis.set_minor_formatter(lambda value, _: "")
    ax.set_ylabel(METRICS["top1"].label)
    sources = [source for source in COLOURS if source in set(frame["source"])]
    marks = [Line2D([], [], ls="", marker="o", color=COLOURS[name], alpha=0.6, label=name) for name in sources]
    ax.legend(handles=marks, ncols=len(marks), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    _name_marks(frame, ax)


def _area(params: Any) -> float:
    return float(max(LEAST_AREA, AREA_PER_MILLION * params / 1e6))


def _name_marks(frame: pd.DataFrame, ax: Axes) -> None:
    """Ours first, then the most accurate; a name that would cover another one is left out."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # marks must be where they will be
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
        yield ax.annotate(
            entry.name,
            (entry.macs, entry.top1),
            shift,
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=6.5,
            color="#222222" if entry.source == OURS else "#777777",
            parse_math=False,
        )


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """More room where there is more to name."""
    return 7.4, 3.6 if len(frame) < 25 else 5.0


def density(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with `density`, points of top-1 per million parameters, most first."""
    values = frame["top1"] / (frame["params"] / 1e6)
    return frame.assign(density=values.astype(float)).sort_values("density", ascending=False, ignore_index=True)


def draw_density(frame: pd.DataFrame, ax: Axes) -> None:
    """One bar a network, the densest on top, on a logarithmic axis."""
    colours = [COLOURS[source] for source in frame["source"]]
    ax.barh(range(len(frame)), frame["density"], color=colours, height=0.7)
    ax.set_xscale("log")
    ax.set_ylim(len(frame) - 0.4, -0.6)
    ax.set_yticks(range(len(frame)), [str(name) for name in frame["name"]], parse_math=False)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("points of top-1 per million parameters")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(lambda value, _: "")
    for row, entry in enumerate(frame.itertuples()):
        ax.annotate(f"{entry.density:.3g}", (1, row), (6, 0), ("axes fraction", "data"), "offset points", va="center",
                    fontsize=7)  # fmt: skip
    sources = [source for source in COLOURS if source in set(frame["source"])]
    marks = [Line2D([], [], ls="", marker="s", color=COLOURS[name], label=name) for name in sources]
    ax.legend(handles=marks, ncols=len(marks), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def density_size(frame: pd.DataFrame) -> tuple[float, float]:
    """One row a network."""
    return 7.4, 0.85 + BAR_INCHES * len(frame)


NOTE = (
    "Ours: means over seeds. Published numbers are of ImageNet at the networks' own image sizes and stand beside ours "
    "on its protocols alone; their origins are in analysis/complexity.csv."
)
FIGURES.add("complexity", "accuracy against multiply-accumulates; area: parameters", "Canziani et al. 2016")(
    Figure(data, draw, size, f"The area of a mark grows with the parameters; steps: Pareto fronts. {NOTE}", order=4)
)
FIGURES.add("density", "accuracy per parameter", "Canziani et al. 2016")(
    Figure(lambda line: density(data(line)), draw_density, density_size, NOTE, order=5)
)
