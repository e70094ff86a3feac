"""Spaces of cells: NASNet's, and those of AmoebaNet, PNAS, ENAS and DARTS with their own operations and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Literal

from raysweep.errors import unknown
from raysweep.genotypes.canonical import canonical
from raysweep.genotypes.cells import INPUTS, OPERATIONS, Cell, Genotype, Step, loose_ends
from raysweep.nas.cell_cost import CellNetwork
from raysweep.nas.limits import Limits, NetworkCost, no_limits
from raysweep.nas.space import Decision, Decisions

PARTS = ("normal", "reduction")
CIFAR = CellNetwork()


@dataclass(frozen=True)
class CellSpace(Decisions[Genotype]):
    """A normal and a reduction cell of so many nodes; each node takes two earlier states and an operation for either.

    A mutation is AmoebaNet's: one of the two cells, one of its nodes, one of the two sides, and then the input or the
    operation, all uniformly; it becomes another one, uniformly. With probability `identity` nothing changes.
    """

    name: str
    operations: tuple[str, ...]
    nodes: int = 5
    concat: Literal["loose_ends", "all"] = "loose_ends"
    """Which states are the output: those that no node uses, or all that are made."""
    distinct: bool = False
    """Whether the two inputs of a node must be two states."""
    identity: float = 0.05
    network: CellNetwork = CIFAR
    """What genotypes are built into, where there are limits."""
    limits: Limits = no_limits

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For each node of each cell: both inputs, then both operations, as ENAS' controller takes them."""
        return tuple(decision for part in PARTS for node in range(self.nodes) for decision in self._node(part, node))

    def _node(self, part: str, node: int) -> tuple[Decision, ...]:
        states = tuple(map(str, range(INPUTS + node)))
        inputs = (Decision(f"{part} {node} input {side}", states, "input", part, node) for side in "ab")
        operations = (
            Decision(f"{part} {node} operation {side}", self.operations, "operation", part, node) for side in "ab"
        )
        return (*inputs, *operations)

    def build(self, code: Sequence[int]) -> Genotype:
        """The genotype of a code."""
        nodes = [self._steps(*code[at : at + 4]) for at in range(0, len(code), 4)]
        return Genotype(self._cell(nodes[: self.nodes]), self._cell(nodes[self.nodes :]))

    def _steps(self, a: int, b: int, operation_a: int, operation_b: int) -> tuple[Step, Step]:
        return (self.operations[operation_a], a), (self.operations[operation_b], b)

    def _cell(self, nodes: Sequence[tuple[Step, Step]]) -> Cell:
        concat = range(INPUTS, INPUTS + self.nodes) if self.concat == "all" else loose_ends(nodes)
        return Cell(tuple(nodes), tuple(concat))

    def encode(self, architecture: Genotype) -> tuple[int, ...]:
        """The code of a genotype; a concat list of its own is not in it.

        Raises:
            RaysweepError: an operation that the space does not have.
        """
        nodes = (*architecture.normal.nodes, *architecture.reduction.nodes)
        return tuple(chain.from_iterable((a[1], b[1], self._number(a[0]), self._number(b[0])) for a, b in nodes))

    def _number(self, operation: str) -> int:
        if operation not in self.operations:
            raise unknown(f"operation of {self.name}", operation, self.operations)
        return self.operations.index(operation)

    def key(self, architecture: Genotype) -> str:
        """Equal for genotypes that differ in the order of inputs, numbers of states, or states that lead nowhere."""
        return f"{cell_key(architecture.normal)}-{cell_key(architecture.reduction)}"

    def is_valid(self, architecture: Genotype) -> bool:
        """Whether it keeps the rules and limits."""
        pairs = (*architecture.normal.nodes, *architecture.reduction.nodes)
        if self.distinct and any(a[1] == b[1] for a, b in pairs):
            return False
        return self.limits is no_limits or self.limits.hold(self.cost(architecture))

    def cost(self, architecture: Genotype) -> NetworkCost:
        """Parameters and multiply-accumulates of the network of this genotype.

        Raises:
            RaysweepError: an operation that such networks do not have.
        """
        return self.network.cost(architecture)


@lru_cache(maxsize=100_000)
def cell_key(cell: Cell) -> str:
    """Canonical key of a cell: vertices are its nodes. The order of concat counts for nothing: it permutes channels."""
    graph = dict(enumerate(cell.nodes, INPUTS))
    return canonical(graph, [("", state) for state in cell.concat])


def cell_space(name: str, network: CellNetwork | None = None, limits: Limits = no_limits) -> CellSpace:
    """The cell space of a paper: nasnet, amoebanet, pnas, enas or darts.

    Without a network it is the one the paper reports CIFAR-10 results of, which matters for limits alone.

    Raises:
        RaysweepError: no such space.
    """
    if name not in OPERATIONS:
        raise unknown("cell space", name, OPERATIONS)
    shown = f"{name}{limits}"
    if name == "darts":
        network = network or CellNetwork("darts", width=36, cells=20)
        return CellSpace(shown, OPERATIONS[name], 4, "all", True, network=network, limits=limits)
    if name == "enas":
        network = network or CellNetwork("enas", width=36, cells=17)
    return CellSpace(shown, OPERATIONS[name], network=network or CIFAR, limits=limits)
