"""The best architecture that each search method found, over its seeds, as a graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview
from raysweep.analysis.figures._graphs import Chain, Edge, Graph
from raysweep.analysis.figures._searches import evaluated
from raysweep.analysis.metrics import METRICS
from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import INPUTS, Cell, Genotype
from raysweep.genotypes.macro import MacroNetwork
from raysweep.genotypes.nasbench201 import EDGES, Cell201

COLUMNS = ("panel", "method", "seed", "top1", "architecture", "part", "source", "target", "operation", "caption")
NOTHING = "none"
"""The operation of an absent edge."""
OUTPUT, NETWORK = "out", "network"
WIDTH = 7.1
"""Inches available for graphs side by side."""
BETWEEN, HEADING, CHARACTER = 0.35, 0.26, 0.065
"""Inches between two graphs, for the heading of one, and per letter of a heading."""
MARGIN = 0.03
Parts = Iterator[tuple[str, Edge]]


def cells(genotype: Genotype) -> Parts:
    """The edges of both cells."""
    for part, cell in (("normal cell", genotype.normal), ("reduction cell", genotype.reduction)):
        yield from ((part, edge) for edge in _cell(cell))


def _cell(cell: Cell) -> Iterator[Edge]:
    names = ["last but one", "last", *(str(state) for state in range(INPUTS, INPUTS + len(cell.nodes)))]
    for state, steps in enumerate(cell.nodes, INPUTS):
        yield from ((names[source], names[state], operation) for operation, source in steps)
    yield from ((names[state], OUTPUT, "") for state in cell.concat)


def cell201(cell: Cell201) -> Parts:
    """The six edges of a cell of NAS-Bench-201."""
    names = ("in", "1", "2", OUTPUT)
    for (source, node), operation in zip(EDGES, cell.operations, strict=True):
        yield "cell", (names[source], names[node], operation)


def layers(network: MacroNetwork) -> Parts:
    """The edges of a macro network: a layer's operation takes the output of the layer before, and skips add to it."""
    names = ["stem", *(str(number) for number in range(1, len(network.layers) + 1))]
    for layer, (operation, skips) in enumerate(network.layers):
        yield NETWORK, (names[layer], names[layer + 1], operation)
        yield from ((NETWORK, (names[at], names[layer + 1], "")) for at, taken in enumerate(skips) if taken)


FORMS: tuple[tuple[Callable[[str], Any], Callable[[Any], Parts]], ...] = (
    (Genotype.parse, cells),
    (Cell201.parse, cell201),
    (MacroNetwork.parse, layers),
)
"""For each kind of architecture the function that parses its text, and the one that lists its edges."""


def edges_of(text: str) -> list[tuple[str, Edge]]:
    """Parts and edges of an architecture, in topological order; empty if the text is not a graph."""
    for parse, edges in FORMS:
        try:
            return list(edges(parse(text)))
        except RaysweepError:
            continue
    return []


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per edge of the best architecture of each method: its `part`, `source`, `target` and `operation`.

    `top1` (points) is its best value and `seed` that of the first search that found it; `operation` is empty for states
    that are passed on unchanged. Empty if architectures are not graphs.
    """
    rows = evaluated(evidence).dropna(subset="top1")
    best = rows.loc[rows.groupby(["panel", "method"])["top1"].idxmax()]
    found = [
        {**{name: row[name] for name in COLUMNS if name in row}, "part": part}
        | dict(zip(("source", "target", "operation"), edge, strict=True))
        for row in best.to_dict("records")
        for part, edge in edges_of(row["architecture"])
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def readable(operation: str) -> str:
    """A short form of the name of an operation for a small box: `sep 5×5` for `sep_conv_5x5`."""
    known = {"skip_connect": "skip", "nor_conv_1x1": "conv 1×1", "nor_conv_3x3": "conv 3×3"}
    short = re.sub(r"_(conv|pool)(?=_)", "", operation)
    return known.get(operation, re.sub(r"(\d)x(\d)", r"\1×\2", short).replace("_", " "))


@dataclass(frozen=True)
class Placed:
    """A graph and its place in the picture, in inches from the left and upper edges."""

    graph: Graph | Chain
    words: str
    x: float
    y: float

    @property
    def right(self) -> float:
        """The position of its right edge, or that of its heading."""
        return self.x + max(self.graph.size[0], CHARACTER * len(self.words))

    @property
    def bottom(self) -> float:
        """The position of its lower edge."""
        return self.y + HEADING + self.graph.size[1]


def place(frame: pd.DataFrame) -> list[Placed]:
    """Place graphs side by side as long as there is room; each architecture begins a new row."""
    placed: list[Placed] = []
    for _, own in frame.groupby(["panel", "method"], sort=False):
        for number, (part, edges) in enumerate(own.groupby("part", sort=False)):
            words = str(part) if number else heading(own.iloc[0], str(part))
            below = Placed(graph_of(edges), words, 0.0, max((one.bottom for one in placed), default=0.0))
            next_to = replace(below, x=placed[-1].right + BETWEEN, y=placed[-1].y) if number else below
            placed.append(next_to if next_to.right <= WIDTH else below)
    return placed


def graph_of(edges: pd.DataFrame) -> Graph | Chain:
    """The graph of a part of an architecture, without absent edges."""
    kept = edges[edges["operation"] != NOTHING]
    rows = tuple(zip(kept["source"], kept["target"], kept["operation"].map(readable), strict=True))
    return Chain(rows) if (edges["part"] == NETWORK).all() else Graph(rows, WIDTH)


def heading(row: pd.Series, part: str) -> str:
    """The heading of an architecture: method, seed and value; options are left out if there is no room for them."""
    method, value = row["method"], f"seed {row['seed']}, {METRICS['top1'].text(row['top1'])} %: {part}"
    whole = f"{row['panel']}, {method}, {value}"
    return whole if CHARACTER * len(whole) <= WIDTH else f"{row['panel']}, {method.partition('+')[0]}+…, {value}"


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw the graphs in axes whose unit is an inch."""
    placed = place(frame)
    height = max(one.bottom for one in placed)
    ax.set_xlim(-MARGIN, WIDTH + MARGIN)
    ax.set_ylim(0, height)
    ax.set_aspect("equal", anchor="NW")
    ax.set_axis_off()
    for one in placed:
        ax.text(one.x, height - one.y - HEADING / 2, one.words, va="center", fontsize=7)
        one.graph.draw(ax, one.x, height - one.bottom)


NOTE = (
    "The best architecture over all seeds of a method, by held-out accuracy. White boxes: states; shaded: "
    "operations, whose results are added; last and last but one: outputs of the two cells before. States that reach "
    "the output without an operation are concatenated. In networks of layers, arcs are skip connections."
)
OVERVIEWS.add("found_cells", "the best architecture found by each search method")(
    Overview(data, draw, lambda frame: 0.15 + max(one.bottom for one in place(frame)), NOTE, order=14)
)
