"""The cell space of NAS-Bench-201.

Dong & Yang 2020 ("NAS-Bench-201: extending the scope of reproducible neural architecture search", arXiv 2001.00326).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from raysweep.genotypes.canonical import Source, canonical
from raysweep.genotypes.nasbench201 import EDGES, OPERATIONS, Cell201
from raysweep.nas.space import Decision, Decisions


@dataclass(frozen=True)
class NASBench201(Decisions[Cell201]):
    """4 nodes, each the sum of an operation on every earlier one: 15,625 cells.

    A mutation changes the operation of one edge, each edge with equal probability. (D-X-Y's code picks a node first, so
    it picks the only edge of node 1 three times as often.)
    """

    @property
    def name(self) -> str:
        """The name of the space."""
        return "nasbench201"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision for each edge."""
        return DECISIONS

    def build(self, code: Sequence[int]) -> Cell201:
        """The cell with these operations."""
        return Cell201(tuple(OPERATIONS[at] for at in code))

    def encode(self, architecture: Cell201) -> tuple[int, ...]:
        """The number of each operation."""
        return tuple(OPERATIONS.index(operation) for operation in architecture.operations)

    def key(self, architecture: Cell201) -> str:
        """Equal for cells that compute the same function: skips are followed, and edges without an input are left out.

        A convolution of zeros would add a constant; here it counts as zero.
        """
        return cell_key(architecture.operations)

    def parse(self, text: str) -> Cell201:
        """The cell of the benchmark's text form.

        Raises:
            RaysweepError: invalid text, or an operation that the space does not have.
        """
        return Cell201.parse(text)


DECISIONS = tuple(Decision(f"{source}->{node}", OPERATIONS) for source, node in EDGES)


@cache  # there are 15,625
def cell_key(operations: tuple[str, ...]) -> str:
    """Canonical key: vertices are the edges with weights or pooling, and sources the sums they are applied to."""
    sums: list[Counter[int]] = [Counter({-1: 1}), Counter(), Counter(), Counter()]
    graph: dict[int, tuple[Source, ...]] = {}
    for edge, ((source, node), operation) in enumerate(zip(EDGES, operations, strict=True)):
        if operation == "skip_connect":
            sums[node] += sums[source]
        elif operation != "none" and sums[source]:
            graph[edge] = tuple((f"{operation} x{times}", vertex) for vertex, times in sums[source].items())
            sums[node][edge] += 1
    return canonical(graph, [(f"x{times}", vertex) for vertex, times in sums[3].items()])
