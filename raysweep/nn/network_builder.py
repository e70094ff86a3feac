"""The builder that a network is described with: layers and their parts from `Builder`, plus searched cells and heads.

It stands above `heads` and `cells`, which are themselves written with `Builder`.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.genotypes.cells import Cell
from raysweep.nn.activations import Shape
from raysweep.nn.builder import Builder
from raysweep.nn.cells import CellForm, add_cell, add_edges
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

    def head(self, first: int, second: int) -> None:
        """Add the recipe's head, from the last map to the logits, with these hidden widths or the recipe's own.

        Raises:
            InapplicableError: `network.head_widths` does not hold two widths.
        """
        add_head(self, first, second)
