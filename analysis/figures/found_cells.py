"""The best architecture that each method has found, over its seeds, as a graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures import OVERVIEWS, Evidence, Overview
from analysis.figures._graphs import Chain, Edge, Graph
from analysis.figures._searches import evaluated
from analysis.metrics import METRICS
from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import INPUTS, Cell, Genotype
from raysweep.genotypes.macro import MacroNetwork
from raysweep.genotypes.nasbench201 import EDGES, Cell201

COLUMNS = ("panel", "method", "seed", "top1", "architecture", "part", "source", "target", "operation", "caption")
NOTHING = "none"
"""The operation of an edge that is not there."""
OUTPUT, NETWORK = "out", "network"
WIDTH = 7.1
"""Inches for graphs beside each other."""
BETWEEN, HEADING, CHARACTER = 0.35, 0.26, 0.065
"""Inches between two graphs, for the words above one, and of a letter of them."""
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
    """A macro network: a layer's operation is on what the layer before it gives, and skips join its result."""
    names = ["stem", *(str(number) for number in range(1, len(network.layers) + 1))]
    for layer, (operation, skips) in enumerate(network.layers):
        yield NETWORK, (names[layer], names[layer + 1], operation)
        yield from ((NETWORK, (names[at], names[layer + 1], "")) for at, taken in enumerate(skips) if taken)


FORMS: tuple[tuple[Callable[[str], Any], Callable[[Any], Parts]], ...] = (
    (Genotype.parse, cells),
    (Cell201.parse, cell201),
    (MacroNetwork.parse, layers),
)
"""What reads a kind of text, and the edges of what it gives."""


def edges_of(text: str) -> list[tuple[str, Edge]]:
    """Part and edge, in an order in which states are made before they are taken; none for what is no graph."""
    for parse, edges in FORMS:
        try:
            return list(edges(parse(text)))
        except RaysweepError:
            continue
    return []


def data(evidence: Evidence) -> pd.DataFrame:
    """One row an edge of the best architecture of each method: `part` of it, `source`, `target`, `operation`.

    `top1` (points) is its best value, `seed` of the first search that had it; `operation` is empty for what is taken as
    it is. Empty where architectures are no graphs.
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
    """`sep_conv_5x5` as `sep 5×5`: what can be left out in a small box is."""
    known = {"skip_connect": "skip", "nor_conv_1x1": "conv 1×1", "nor_conv_3x3": "conv 3×3"}
    short = re.sub(r"_(conv|pool)(?=_)", "", operation)
    return known.get(operation, re.sub(r"(\d)x(\d)", r"\1×\2", short).replace("_", " "))


@dataclass(frozen=True)
class Placed:
    """A graph on the page: inches from its left and upper edges."""

    graph: Graph | Chain
    words: str
    x: float
    y: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + width_of(self.graph, self.words)

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.y + HEADING + self.graph.size[1]


def width_of(graph: Graph | Chain, words: str) -> float:
    """Of a graph and of the words above it."""
    return max(graph.size[0], width_of_words(words))


def width_of_words(words: str) -> float:
    """Of a line."""
    return CHARACTER * len(words)


def place(frame: pd.DataFrame) -> list[Placed]:
    """Graphs beside each other as long as there is room; each architecture begins a row."""
    placed: list[Placed] = []
    for _, own in frame.groupby(["panel", "method"], sort=False):
        new = True
        for part, edges in own.groupby("part", sort=False):
            graph = graph_of(edges)
            words = heading(own.iloc[0], str(part)) if new else str(part)
            x = placed[-1].right + BETWEEN if placed else 0.0
            new = new or x + width_of(graph, words) > WIDTH
            bottom = max((one.bottom for one in placed), default=0.0)
            placed.append(Placed(graph, words, 0.0 if new else x, bottom if new else placed[-1].y))
            new = False
    return placed


def graph_of(edges: pd.DataFrame) -> Graph | Chain:
    """What is drawn of an architecture's part: edges without an operation are left out."""
    kept = edges[edges["operation"] != NOTHING]
    rows = tuple(zip(kept["source"], kept["target"], kept["operation"].map(readable), strict=True))
    return Chain(rows) if (edges["part"] == NETWORK).all() else Graph(rows, WIDTH)


def heading(row: pd.Series, part: str) -> str:
    """Whose architecture this is and what it was worth; a method's options are left out where there is no room."""
    method, worth = row["method"], f"seed {row['seed']}, {METRICS['top1'].text(row['top1'])} %: {part}"
    whole = f"{row['panel']}, {method}, {worth}"
    return whole if width_of_words(whole) <= WIDTH else f"{row['panel']}, {method.partition('+')[0]}+…, {worth}"


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """As high as the rows are."""
    return 7.4, 0.15 + max(one.bottom for one in place(frame))


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """In axes that are inches."""
    placed = place(frame)
    height = max(one.bottom for one in placed)
    ax.set_xlim(-MARGIN, WIDTH + MARGIN)
    ax.set_ylim(0, height)
    ax.set_aspect("equal", anchor="NW")
    ax.set_axis_off()
    for one in placed:
        ax.text(one.x, height - one.y - HEADING / 2, one.words, va="center", fontsize=7, parse_math=False)
        one.graph.draw(ax, one.x, height - one.bottom)


NOTE = (
    "The best of all seeds of a method by the images held out. White boxes: states; shaded: operations, the results of "
    "which are added; last and last but one: what the two cells before gave. States that reach the output without an "
    "operation are concatenated. In networks of layers arcs are skips."
)
OVERVIEWS.add("found_cells", "the best architecture that each method has found")(
    Overview(data, draw, size, NOTE, order=14)
)
