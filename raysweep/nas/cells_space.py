"""Cell spaces: NASNet's, and those of AmoebaNet, PNAS, ENAS and DARTS with their own operations and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Literal

from raysweep.errors import unknown
from raysweep.genotypes.canonical import canonical
from raysweep.genotypes.cells import INPUTS, OPERATIONS, Cell, Genotype, Step, loose_ends
from raysweep.nas.space import Decision, Decisions

PARTS = ("normal", "reduction")


@dataclass(frozen=True)
class CellSpace(Decisions[Genotype]):
    """A normal and a reduction cell of `nodes` nodes; each node applies an operation to each of two earlier states.

    The mutation is AmoebaNet's: it picks one of the two cells, one of its nodes, one of the two sides, and then the
    input or the operation, all uniformly, and replaces it with a different one, uniformly. With probability `identity`
    nothing changes.
    """

    name: str
    operations: tuple[str, ...]
    nodes: int = 5
    concat: Literal["loose_ends", "all"] = "loose_ends"
    """Which nodes form the output: those that no other node uses, or all."""
    distinct: bool = False
    """Whether the two inputs of a node must differ."""
    identity: float = 0.05

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For each node of each cell both inputs, then both operations: the order of ENAS' controller."""
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
        """The code of a genotype. It leaves out a concat list that does not follow the rule of the space.

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
        """Equal for genotypes that differ only in the order of inputs, the numbers of states, or unused states."""
        return f"{cell_key(architecture.normal)}-{cell_key(architecture.reduction)}"

    def is_valid(self, architecture: Genotype) -> bool:
        """Whether it obeys the rules of the space."""
        pairs = (*architecture.normal.nodes, *architecture.reduction.nodes)
        return not (self.distinct and any(a[1] == b[1] for a, b in pairs))


@lru_cache(maxsize=100_000)
def cell_key(cell: Cell) -> str:
    """Canonical key of a cell. Its vertices are the nodes; the order of concat is ignored, as it permutes channels."""
    graph = dict(enumerate(cell.nodes, INPUTS))
    return canonical(graph, [("", state) for state in cell.concat])


def cell_space(name: str) -> CellSpace:
    """The cell space of a paper: nasnet, amoebanet, pnas, enas or darts.

    Raises:
        RaysweepError: no such space.
    """
    if name not in OPERATIONS:
        raise unknown("cell space", name, OPERATIONS)
    if name == "darts":
        return CellSpace(name, OPERATIONS[name], 4, "all", distinct=True)
    return CellSpace(name, OPERATIONS[name])
