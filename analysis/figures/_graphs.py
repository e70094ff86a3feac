"""Layout of a directed graph: states in columns by depth, with operations as boxes on the edges.

After Sugiyama, Tagawa & Toda 1981: an edge over several columns has a lane in each column that it passes, and within a
column every box and lane is placed near its neighbours. So no line runs behind a box and no labels overlap. A chain
with skip connections is drawn as an arc diagram. Lengths are in inches.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import mean
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from raysweep.analysis.figures import _style as style

Edge = tuple[str, str, str]
"""Source, target and operation; without an operation the value is passed on unchanged."""
PITCH, HEIGHT = 0.2, 0.15
"""Distance between the centres of neighbours in a column, and height of a box."""
CHARACTER, BORDER = 0.047, 0.09
"""Width of a letter, and width of a box in addition to its text."""
GAPS = (0.08, 0.28)
"""Least and largest distance between two columns."""
REACH = 0.13
"""Extent of an arc for each row that it spans."""
SWEEPS = 9
CONVOLUTION, POOLING, PLAIN = "#D9E9F3", "#FBE3D3", "#ECECEC"
FACES = dict.fromkeys(("conv", "sep", "dil"), CONVOLUTION) | dict.fromkeys(("avg", "max"), POOLING)
"""First word of an operation -> colour of its box."""


@dataclass(frozen=True)
class Vertex:
    """An element of a column: a state, an operation, or the lane of a state that is used further to the right."""

    text: str
    column: int
    kind: Literal["state", "operation", "lane"]
    number: int = 0
    """The number of an operation's edge, since several may have the same text."""

    @property
    def width(self) -> float:
        """The width of its box."""
        return 0.0 if self.kind == "lane" else box_width(self.text)


@dataclass(frozen=True)
class Graph:
    """Edges in topological order, and the width available for them."""

    edges: tuple[Edge, ...]
    room: float

    @cached_property
    def depth(self) -> dict[str, int]:
        """State -> its column, to the right of all its inputs with a column for operations in between."""
        found: dict[str, int] = {}
        for source, target, operation in self.edges:
            found[target] = max(found.get(target, 0), found.setdefault(source, 0) + (2 if operation else 1))
        return found

    @cached_property
    def links(self) -> list[tuple[Vertex, Vertex]]:
        """Joined pairs in neighbouring columns; all edges from a state share its lanes."""
        found: dict[tuple[Vertex, Vertex], None] = {}
        for number, (source, target, operation) in enumerate(self.edges):
            begin, end = self.depth[source], self.depth[target]
            last = [Vertex(operation, end - 1, "operation", number)] if operation else []
            lanes = [Vertex(source, column, "lane") for column in range(begin + 1, end - len(last))]
            path = [Vertex(source, begin, "state"), *lanes, *last, Vertex(target, end, "state")]
            found |= dict.fromkeys(pairwise(path))
        return list(found)

    @cached_property
    def columns(self) -> list[list[Vertex]]:
        """The columns from left to right."""
        vertices = dict.fromkeys(vertex for link in self.links for vertex in link)
        return [[v for v in vertices if v.column == column] for column in range(max(self.depth.values()) + 1)]

    @cached_property
    def heights(self) -> dict[Vertex, float]:
        """Vertex -> its height, 0 for the lowest: near the mean of its neighbours, by sweeps in both directions."""
        near: dict[tuple[Vertex, int], list[Vertex]] = defaultdict(list)
        for one, other in self.links:
            near[other, -1].append(one)
            near[one, 1].append(other)
        found = {vertex: -PITCH * place for own in self.columns for place, vertex in enumerate(own)}
        for sweep in range(SWEEPS):
            side, order = (1, reversed(self.columns)) if sweep % 2 else (-1, iter(self.columns))
            for own in order:
                ideal = [mean(found[v] for v in near[vertex, side] or [vertex]) for vertex in own]
                found |= zip(own, style.spread(ideal, PITCH), strict=True)
        low = min(found.values())
        return {vertex: height - low for vertex, height in found.items()}

    @cached_property
    def spans(self) -> list[tuple[float, float]]:
        """Left and right ends of the columns, spread over the available width."""
        widths = [max(vertex.width for vertex in own) for own in self.columns]
        gap = min(max((self.room - sum(widths)) / max(1, len(widths) - 1), GAPS[0]), GAPS[1])
        lefts = [sum(widths[:column]) + gap * column for column in range(len(widths))]
        return [(left, left + width) for left, width in zip(lefts, widths, strict=True)]

    @property
    def size(self) -> tuple[float, float]:
        """Width, and height including the outer halves of boxes."""
        return self.spans[-1][1], max(self.heights.values()) + PITCH

    def draw(self, ax: Axes, x: float, y: float) -> None:
        """Draw it in axes whose unit is an inch, with its lower left corner at a position."""
        for one, other in self.links:
            begin, end = self._end(one, 1, x, y), self._end(other, -1, x, y)
            middle = (begin[0] + end[0]) / 2
            _curve(ax, begin, (middle, begin[1]), (middle, end[1]), end)
        for vertex in self.heights:
            left, right = self._end(vertex, -1, x, y), self._end(vertex, 1, x, y)
            if vertex.kind == "lane":
                ax.plot(*zip(left, right, strict=True), color=style.FAINT, lw=0.7, zorder=2)
            else:
                face = "white" if vertex.kind == "state" else FACES.get(vertex.text.split()[0], PLAIN)
                _box(ax, vertex.text, (left[0] + right[0]) / 2, left[1], vertex.width, face)

    def _end(self, vertex: Vertex, side: int, x: float, y: float) -> tuple[float, float]:
        """The point where lines from the left (-1) or to the right (1) meet it; boxes are centred in their column."""
        left, right = self.spans[vertex.column]
        width = right - left if vertex.kind == "lane" else vertex.width
        return x + (left + right + side * width) / 2, y + self.heights[vertex] + PITCH / 2


@dataclass(frozen=True)
class Chain:
    """A graph in which each state is an operation on the one before it, from top to bottom, with other edges as arcs.

    Arcs from the same state have the same colour.
    """

    edges: tuple[Edge, ...]

    @cached_property
    def boxes(self) -> dict[str, str]:
        """State -> the text in its box."""
        made = {target: operation for _, target, operation in self.edges if operation}
        first = self.edges[0][0]
        return {first: first} | {state: f"{state}  {operation}" for state, operation in made.items()}

    @property
    def width(self) -> float:
        """The width of all boxes."""
        return max(map(box_width, self.boxes.values()))

    @cached_property
    def arcs(self) -> list[tuple[int, int]]:
        """Pairs of rows that edges without an operation join."""
        rows = {state: row for row, state in enumerate(self.boxes)}
        return [(rows[source], rows[target]) for source, target, operation in self.edges if not operation]

    @property
    def size(self) -> tuple[float, float]:
        """Width, and height including the outer halves of boxes."""
        # A cubic curve extends three quarters of the way to its two middle control points.
        furthest = max((_reach(*arc) for arc in self.arcs), default=0.0)
        return self.width + 0.75 * furthest, PITCH * len(self.boxes)

    def draw(self, ax: Axes, x: float, y: float) -> None:
        """Draw it in axes whose unit is an inch, with its lower left corner at a position."""
        heights = [y + PITCH * (len(self.boxes) - row - 0.5) for row in range(len(self.boxes))]
        middle, right = x + self.width / 2, x + self.width
        ax.plot([middle, middle], [heights[0], heights[-1]], color=style.FAINT, lw=0.7, zorder=2)
        for place, (state, text) in zip(heights, self.boxes.items(), strict=True):
            _box(ax, text, middle, place, self.width, "white" if text == state else FACES.get(text.split()[1], PLAIN))
        for one, other in self.arcs:
            far = right + _reach(one, other)
            points = ((right, heights[one]), (far, heights[one]), (far, heights[other]), (right, heights[other]))
            _curve(ax, *points, shade=style.colour("", one))


def _reach(row: int, other: int) -> float:
    return REACH * (1 + abs(other - row))


def box_width(text: str) -> float:
    """The width of a box with a text."""
    return CHARACTER * len(text) + BORDER


def _curve(ax: Axes, *points: tuple[float, float], shade: str = style.FAINT) -> None:
    path = Path(points, [Path.MOVETO, *[Path.CURVE4] * 3])
    ax.add_patch(PathPatch(path, fill=False, edgecolor=shade, lw=0.7, zorder=2))


def _box(ax: Axes, text: str, x: float, y: float, width: float, face: str) -> None:
    edge = style.DARK if face == "white" else "none"
    corner, shape = (x - width / 2, y - HEIGHT / 2), "round,pad=0,rounding_size=0.03"
    ax.add_patch(FancyBboxPatch(corner, width, HEIGHT, shape, facecolor=face, edgecolor=edge, lw=0.8, zorder=3))
    ax.text(x, y, text, ha="center", va="center_baseline", fontsize=6, color=style.DARK, zorder=4)
