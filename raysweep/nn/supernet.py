"""The supernet of ENAS (micro search): one network with the weights of every cell of a space.

Pham et al. 2018, arXiv 1802.03268, after the released code (melodyguan/enas, `micro_child.py`). It is not the network
in which a cell is trained individually: its cells end in a 1x1 convolution that mixes the loose ends, and a reduction
first halves the map and then applies a cell of stride 1.

Two differences from the released code: a cell input that no node uses is not a loose end, unless the genotype lists it;
and the auxiliary head, which keeps its initial weights there, is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import INPUTS, Cell, Genotype, Step
from raysweep.nn.activations import Shape
from raysweep.nn.builder import Builder, Part
from raysweep.nn.cell_ops import factorised_reduction, fit_older, operation
from raysweep.nn.heads import add_head
from raysweep.nn.norms import NORMS
from raysweep.recipe import NetworkRecipe

STYLE = "enas"
"""How operations and inputs are built, see `cell_ops`."""
STEM = 3
"""Width of the stem, relative to the width of the cells."""
AUXILIARY = (128, 768)
"""Widths of the auxiliary head."""


class Cells(Protocol):
    """The cells that a supernet holds, such as a `raysweep.nas.cells_space.CellSpace`."""

    @property
    def name(self) -> str:
        """The name of the space."""
        ...

    @property
    def operations(self) -> Sequence[str]:
        """The operations of a node."""
        ...

    @property
    def nodes(self) -> int:
        """Number of nodes of a cell."""
        ...


class SupernetCell(nn.Module):
    """One cell of the supernet: separate weights for every node, side, earlier state and operation."""

    def __init__(self, recipe: NetworkRecipe, space: Cells, older: Shape, newer: Shape, width: int) -> None:
        """`older` and `newer` are the output shapes of the two preceding cells."""
        super().__init__()
        shape = (width, *newer[1:])
        self.older = _part(recipe, older, lambda net: fit_older(net, STYLE, width, newer))
        self.newer = _part(recipe, newer, lambda net: fit_older(net, STYLE, width, newer))
        self.steps = nn.ModuleDict(
            {
                _name(state, side, (name, source)): _part(recipe, shape, operation(name, STYLE, width))
                for state in range(INPUTS, INPUTS + space.nodes)
                for side, source, name in product(range(2), range(state), space.operations)
            }
        )
        self.act = _part(recipe, shape, lambda net: net.activate("act"))
        self.mixing = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in range(INPUTS + space.nodes))
        self.norm = NORMS[recipe.norm](width)

    def forward(self, older: Tensor, newer: Tensor, cell: Cell) -> Tensor:
        """Outputs of the two preceding cells -> (N, width, H, W), with H and W of the newer one."""
        states = [self.older(older), self.newer(newer)]
        for state, steps in enumerate(cell.nodes, INPUTS):
            made = [self.steps[_name(state, side, step)](states[step[1]]) for side, step in enumerate(steps)]
            states.append(made[0] + made[1])
        ends = torch.cat([states[state] for state in cell.concat], 1)
        # The columns, for the present loose ends, of one convolution of all states.
        mixing: list[Tensor] = [self.mixing[state].weight for state in cell.concat]  # type: ignore[misc]
        mixed: Tensor = self.norm(F.conv2d(self.act(ends), torch.cat(mixing, 1)))
        return mixed


def _part(recipe: NetworkRecipe, shape: Shape, describe: Part[Builder]) -> nn.Module:
    return Builder(recipe, shape).part(describe)[0]


def _name(state: int, side: int, step: Step) -> str:
    name, source = step
    return f"{state}{'ab'[side]}_{name}_{source}"


class Supernet(nn.Module):
    """Stem, cells with two reductions, classifier. Every batch comes with the genotype to use."""

    def __init__(self, recipe: NetworkRecipe, shape: Shape, space: Cells, cells: int = 8, width: int = 20) -> None:
        """Build the supernet.

        Args:
            recipe: the layers. With `aux_weight` an auxiliary head follows the cell after the second reduction.
            shape: of the images: channels, side, side.
            space: the cells to hold.
            cells: number of cells, including both reductions.
            width: of the first cells, multiplied by the width of the recipe.

        Raises:
            RaysweepError: fewer than 3 cells, or an unsupported operation.
            InapplicableError: images too small for the reductions or the auxiliary head.
        """
        super().__init__()
        if cells < 3:
            raise RaysweepError(f"cells is {cells}: it must be 3 or more, including both reductions.")
        self.space = space
        third = (cells - 2) // 3
        self.reductions = (third, 2 * third + 1)
        whole = Builder(recipe, shape)
        now = whole.scaled(width)
        self.stem, stem = whole.part(lambda net: net.conv("stem", STEM * now, 3, pad=1, act=False))
        self.halving, self.cells = nn.ModuleDict(), nn.ModuleList()
        older = newer = stem
        for at in range(cells):
            if at in self.reductions:
                now *= 2
                older = newer
                self.halving[str(at)], newer = Builder(recipe, newer).part(partial(factorised_reduction, width=now))
            self.cells.append(SupernetCell(recipe, space, older, newer, now))
            older, newer = newer, (now, *newer[1:])
            if at == self.reductions[1] + 1 and recipe.aux_weight:
                self.auxiliary = _part(recipe, newer, _auxiliary)
        self.head = _part(recipe, newer, _head)

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """Images (N, C, H, W) -> logits (N, outputs); with an auxiliary head (2, N, outputs) in training.

        Raises:
            RaysweepError: a genotype that is not in the space of the supernet.
        """
        self._check(genotype)
        older = newer = self.stem(images)
        auxiliary: Tensor | None = None
        for at, cell in enumerate(self.cells):
            reduces = at in self.reductions
            if reduces:
                older, newer = newer, self.halving[str(at)](newer)
            older, newer = newer, cell(older, newer, genotype.reduction if reduces else genotype.normal)
            if at == self.reductions[1] + 1 and self.training and hasattr(self, "auxiliary"):
                auxiliary = self.auxiliary(newer)
        logits: Tensor = self.head(newer)
        return logits if auxiliary is None else torch.stack([logits, auxiliary])

    def _check(self, genotype: Genotype) -> None:
        for cell in (genotype.normal, genotype.reduction):
            names = {name for steps in cell.nodes for name, _ in steps}
            if len(cell.nodes) != self.space.nodes or not names <= {*self.space.operations}:
                raise RaysweepError(
                    f"{genotype} is not in the space {self.space.name} of the supernet: its cells have "
                    f"{self.space.nodes} nodes and the operations {', '.join(self.space.operations)}."
                )


def _head(net: Builder) -> None:
    net.activate("act")
    add_head(net, 0, 0)


def _auxiliary(net: Builder) -> None:
    """An auxiliary classifier as in NASNet: pooling 5/3, a 1x1 convolution, and a convolution of the whole map."""
    net.activate("act")
    net.pool("pool", stride=3, kernel=5, pad=0, kind="average", round_up=False)
    net.conv("project", AUXILIARY[0], 1)
    net.conv("full", AUXILIARY[1], (net.shape[1], net.shape[2]))
    net.classifier("classifier")
