"""The builder that a network is described with: layers and their parts from `Builder`, plus searched cells and heads.

It stands above `heads` and `cells`, which are themselves written with `Builder`.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.genotypes.cells import Cell
from raysweep.nn.activations import Shape
from raysweep.nn.blocks import Graph, Layers, LearnedWeight, PaddedShortcut, Paired, PairSkips
from raysweep.nn.builder import Builder, Part
from raysweep.nn.cells import CellForm, add_cell, add_edges, add_sums
from raysweep.nn.heads import add_head


class NetworkBuilder(Builder):
    """Adds the layers of a whole network one by one; so does every part of it."""

    def cell(
        self, name: str, cell: Cell, style: str, width: int, stride: int, older: Shape | None, drop_path: float
    ) -> None:
        """Add a searched cell on the current map and the one before the last cell, of shape `older` if there is one.

        Raises:
            RaysweepError: an operation that networks of this style do not have.
        """
        add_cell(self, name, cell, CellForm(style, width, stride, drop_path), older)

    def edges(self, name: str, nodes: Sequence[Sequence[str]]) -> None:
        """Add a NAS-Bench-201 cell on the current map: for each node, its operations on every earlier state."""
        add_edges(self, name, nodes)

    def sums(self, name: str, nodes: Sequence[Sequence[tuple[int, Part[NetworkBuilder]]]]) -> None:
        """Add states, each the sum of parts on earlier states; 0 is the current map, the last state is the output.

        Raises:
            InapplicableError: the terms of a sum differ in shape.
        """
        add_sums(self, name, nodes)

    def padded_shortcut(self, name: str, channels: int, stride: int, taken: int | None = None) -> None:
        """Add every `stride`th pixel of the first `taken` channels (all by default), with zeros as further channels."""
        sizes = [-(-size // stride) for size in self.shape[1:]]
        self.add(name, PaddedShortcut(channels, stride, taken), (channels, *sizes))

    def learned_weight(self, name: str) -> None:
        """Multiply the map by one learned factor."""
        self.add(name, LearnedWeight())

    def paired(self, name: str, describe: Part[NetworkBuilder]) -> None:
        """Add a part in front of the cells; the next cell is also given the map before it."""
        layers, shape = self.part(describe)
        self.add(name, Paired(Layers(), layers, Graph((), [(1, Layers())])), shape)

    def pair_skips(self, name: str, layers: Sequence[str]) -> None:
        """Put identity skips around pairs of layers that have already been added."""
        self.add(name, PairSkips([self.layers.pop(layer) for layer in layers]))

    def head(self, first: int, second: int) -> None:
        """Add the recipe's head, from the last map to the logits, with these hidden widths or the recipe's own.

        Raises:
            InapplicableError: `network.head_widths` does not hold two widths.
        """
        add_head(self, first, second)
