"""The cell space of NAS-Bench-201, and what its networks cost.

Dong & Yang 2020 ("NAS-Bench-201: extending the scope of reproducible neural architecture search", arXiv 2001.00326).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from raysweep.genotypes.canonical import Source, canonical
from raysweep.genotypes.nasbench201 import CELLS, EDGES, OPERATIONS, STACKS, STEM, Cell201
from raysweep.nas.limits import Limits, NetworkCost, no_limits
from raysweep.nas.space import Decision, Decisions


@dataclass(frozen=True)
class NASBench201(Decisions[Cell201]):
    """4 nodes, each the sum of an operation on every earlier one: 15,625 cells.

    `limits` leave out cells whose network is too large or too costly. A mutation changes the operation of one edge;
    each edge is as likely (D-X-Y's code takes a node first, and so the only edge of node 1 three times as often).
    """

    limits: Limits = no_limits
    classes: int = 10
    side: int = 32
    """Of the images, px."""

    @property
    def name(self) -> str:
        """Of the space."""
        return f"nasbench201{self.limits}"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One an edge."""
        return DECISIONS

    def build(self, code: Sequence[int]) -> Cell201:
        """The cell of these operations."""
        return Cell201(tuple(OPERATIONS[at] for at in code))

    def encode(self, architecture: Cell201) -> tuple[int, ...]:
        """Operations by number."""
        return tuple(OPERATIONS.index(operation) for operation in architecture.operations)

    def key(self, architecture: Cell201) -> str:
        """Equal for cells that compute the same: skips are followed, and what no input reaches is left out.

        A convolution of nothing would add a constant; it counts as nothing.
        """
        return cell_key(architecture.operations)

    def is_valid(self, architecture: Cell201) -> bool:
        """Whether its network is within the limits."""
        return self.limits is no_limits or self.limits.hold(self.cost(architecture))

    def parse(self, text: str) -> Cell201:
        """The cell of the benchmark's text form.

        Raises:
            RaysweepError: not such a text, or an operation that the space does not have.
        """
        return Cell201.parse(text)

    def cost(self, architecture: Cell201) -> NetworkCost:
        """Parameters and multiply-accumulates of the benchmark's network of this cell, all that is built."""
        return network_cost(architecture.operations, self.side, self.classes)


DECISIONS = tuple(Decision(f"{source}->{node}", OPERATIONS) for source, node in EDGES)


@cache  # there are 15,625
def cell_key(operations: tuple[str, ...]) -> str:
    """Canonical key: vertices are the edges with weights or pooling, sources the sums that they are applied to."""
    sums: list[Counter[int]] = [Counter({-1: 1}), Counter(), Counter(), Counter()]
    graph: dict[int, tuple[Source, ...]] = {}
    for edge, ((source, node), operation) in enumerate(zip(EDGES, operations, strict=True)):
        if operation == "skip_connect":
            sums[node] += sums[source]
        elif operation != "none" and sums[source]:
            graph[edge] = tuple((f"{operation} x{times}", vertex) for vertex, times in sums[source].items())
            sums[node][edge] += 1
    return canonical(graph, [(f"x{times}", vertex) for vertex, times in sums[3].items()])


def network_cost(operations: tuple[str, ...], side: int, classes: int) -> NetworkCost:
    """Stem, three stacks of cells with a residual block of stride 2 between, batch normalisation, classifier."""
    params, macs = 3 * 9 * STEM + 2 * STEM, 3 * 9 * STEM * side**2
    kernels = [{"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(operation, 0) for operation in operations]
    for stack in range(STACKS):
        width = STEM << stack
        if stack:
            side = (side + 1) // 2
            weights = (width // 2) * width * (9 + 1) + 9 * width**2
            params, macs = params + weights + 2 * 2 * width, macs + weights * side**2
        weights = CELLS * sum(kernels) * width**2
        params += weights + CELLS * sum(map(bool, kernels)) * 2 * width
        macs += weights * side**2
    return NetworkCost(params + 2 * width + (width + 1) * classes, macs + width * classes)
