"""One network that holds the weights of every cell of a space: the shared network of ENAS (micro search).

Pham et al. 2018, arXiv 1802.03268, after the released code (melodyguan/enas, `micro_child.py`). It is not the network
that a cell is trained in by itself: its cells end in a 1x1 convolution that mixes the loose ends, and a reduction
halves the map first and is a cell of stride 1 after that.

Where it differs from the released code: an input of a cell that no node uses is no loose end, unless the genotype lists
it; and the auxiliary head, which stays as it was drawn there, is trained.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import INPUTS, Cell, Genotype, Step
from raysweep.nas.cells_space import CellSpace
from raysweep.nn.activations import Shape
from raysweep.nn.builder import Builder, Part
from raysweep.nn.cell_ops import factorised_reduction, fit_older, operation
from raysweep.nn.heads import add_head
from raysweep.nn.norms import NORMS
from raysweep.recipe import NetworkRecipe

STYLE = "enas"
"""Way to build operations and inputs, see `cell_ops`."""
STEM = 3
"""Width of the stem relative to that of the cells."""
AUXILIARY = (128, 768)
"""Widths of the auxiliary head."""


class SharedCell(nn.Module):
    """One cell of the network: weights of their own for every node, side of it, earlier state and operation."""

    def __init__(self, recipe: NetworkRecipe, space: CellSpace, older: Shape, newer: Shape, width: int) -> None:
        """`older` and `newer` are the shapes of the outputs of the two cells before."""
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
        """Outputs of the two cells before -> (N, width, H, W); H and W are those of the newer one."""
        states = [self.older(older), self.newer(newer)]
        for state, steps in enumerate(cell.nodes, INPUTS):
            made = [self.steps[_name(state, side, step)](states[step[1]]) for side, step in enumerate(steps)]
            states.append(made[0] + made[1])
        ends = torch.cat([states[state] for state in cell.concat], 1)
        # The columns of one convolution of all states that belong to those that are there.
        mixing: list[Tensor] = [self.mixing[state].weight for state in cell.concat]  # type: ignore[misc]
        mixed: Tensor = self.norm(F.conv2d(self.act(ends), torch.cat(mixing, 1)))
        return mixed


def _part(recipe: NetworkRecipe, shape: Shape, describe: Part[Builder]) -> nn.Module:
    return Builder(recipe, shape).part(describe)[0]


def _name(state: int, side: int, step: Step) -> str:
    name, source = step
    return f"{state}{'ab'[side]}_{name}_{source}"


class SharedCells(nn.Module):
    """Stem, cells with two reductions, classifier; which cells they are is said anew with every batch."""

    def __init__(self, recipe: NetworkRecipe, shape: Shape, space: CellSpace, cells: int = 8, width: int = 20) -> None:
        """For images of a shape (channels, side, side). `cells` with both reductions.

        `width` is that of the first cells, times the recipe's multiplier. With `network.aux_weight` an auxiliary head
        follows the cell after the second reduction.

        Raises:
            RaysweepError: fewer than 3 cells, or an operation that such networks do not have.
            InapplicableError: images too small for so many reductions, or for the auxiliary head.
        """
        super().__init__()
        if cells < 3:
            raise RaysweepError(f"cells is {cells}: with both reductions at least 3 are needed.")
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
            self.cells.append(SharedCell(recipe, space, older, newer, now))
            older, newer = newer, (now, *newer[1:])
            if at == self.reductions[1] + 1 and recipe.aux_weight:
                self.auxiliary = _part(recipe, newer, _auxiliary)
        self.head = _part(recipe, newer, _head)

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """Images (N, C, H, W) -> logits (N, outputs); with an auxiliary head (2, N, outputs) in training.

        Raises:
            RaysweepError: a genotype that the space of the network does not have.
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
                    f"{genotype} is not in the space {self.space.name}, whose weights these are: cells have "
                    f"{self.space.nodes} nodes and operations {', '.join(self.space.operations)}."
                )


def _head(net: Builder) -> None:
    net.activate("act")
    add_head(net, 0, 0)


def _auxiliary(net: Builder) -> None:
    """A classifier on the middle of the network, as NASNet's: pooling 5/3, 1x1 convolution, one of the whole map."""
    net.activate("act")
    net.pool("pool", stride=3, kernel=5, pad=0, kind="average", round_up=False)
    net.conv("project", AUXILIARY[0], 1)
    net.conv("full", AUXILIARY[1], (net.shape[1], net.shape[2]))
    net.classifier("classifier")
