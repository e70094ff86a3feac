"""A made-up table over the cells of NAS-Bench-201 with the structure of real ones: no search method reads this file.

A cell needs a path from input to output. Convolutions help with falling returns, more so on long paths beside skips;
edges interact at random, and every class of equal cells has a part of its own that nothing predicts. Most cells are
mediocre, few are good, and the good ones are near each other. Cost follows the multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from raysweep.genotypes.nasbench201 import Cell201
from raysweep.nas import Evaluation, NASBench201
from tests.nas.cell_arithmetic import nasbench201_cost

SPACE = NASBench201()
HELP = np.array([0.0, 0.35, 0.55, 1.0, 0.2])
"""Of an operation on an edge, in the order of the space's operations."""
REACH = ((0,), (1,), (0, 2), (3,), (0, 4), (1, 5), (0, 2, 5))
"""Edges of each path: to node 1, to node 2, to node 2 by node 1, then the four to the output."""


@dataclass(frozen=True)
class Table:
    """Accuracy (per cent) and training seconds of every cell."""

    accuracy: dict[Cell201, float]
    cost_s: dict[Cell201, float]

    def evaluate(self, cell: Cell201, fidelity: float | None = None) -> Evaluation:
        """What a benchmark's lookup amounts to."""
        return Evaluation(self.accuracy[cell], self.cost_s[cell])

    @property
    def best(self) -> float:
        return max(self.accuracy.values())


@cache
def table() -> Table:
    codes = np.array(list(product(range(5), repeat=6)))
    cells = [SPACE.build(code) for code in codes.tolist()]
    keys = [SPACE.key(cell) for cell in cells]
    _, first, of = np.unique(keys, return_index=True, return_inverse=True)
    values = _accuracy(codes[first])[of]
    costs = np.array([nasbench201_cost(cell.operations).macs for cell in cells]) / 1e6 + 60
    return Table(dict(zip(cells, values.tolist(), strict=True)), dict(zip(cells, costs.tolist(), strict=True)))


def _accuracy(codes: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2017)
    paths = np.array([[(codes[:, path] != 0).all(1), HELP[codes[:, path]].sum(1)] for path in map(list, REACH[3:])])
    there, helped = paths[:, 0], np.where(paths[:, 0] == 1, paths[:, 1], 0.0)
    capacity = helped.max(0) + 0.25 * helped.sum(0)
    pairs = rng.normal(0, 0.25, (6, 5, 6, 5))
    edges = range(6)
    interaction = sum(pairs[a, codes[:, a], b, codes[:, b]] for a in edges for b in edges if a < b)
    own = rng.normal(0, 0.1, len(codes))
    return np.where(there.any(0), 94 - 60 * np.exp(-capacity - interaction), 10) + own
