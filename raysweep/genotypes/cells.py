"""Cells as data: their structure and text form, the operations of each search space, and published cells.

States 0 and 1 of a cell are the outputs of the two preceding cells, the older one first. Node k makes state k + 2, the
sum of two operations on earlier states. The output of a cell concatenates the states of `concat`. These are not always
the states that no node uses, so they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.errors import RaysweepError, did_you_mean

Step = tuple[str, int]
"""An operation, and the state that it is applied to."""
INPUTS = 2


@dataclass(frozen=True)
class Cell:
    """One cell."""

    nodes: tuple[tuple[Step, Step], ...]
    concat: tuple[int, ...]

    def __post_init__(self) -> None:
        for state, steps in enumerate(self.nodes, INPUTS):
            if any(not 0 <= source < state for _, source in steps):
                raise RaysweepError(
                    f"state {state} is computed from {steps}, but it can only use states 0 to {state - 1}."
                )
        if not self.concat or any(not 0 <= state < INPUTS + len(self.nodes) for state in self.concat):
            raise RaysweepError(
                f"concat is {self.concat}: it must list states from 0 to {INPUTS + len(self.nodes) - 1}."
            )

    def __str__(self) -> str:
        nodes = "; ".join(", ".join(f"{operation} {source}" for operation, source in steps) for steps in self.nodes)
        return f"{nodes} -> {','.join(map(str, self.concat))}"


@dataclass(frozen=True)
class Genotype:
    """A normal cell, and a reduction cell, which halves the size of its two inputs."""

    normal: Cell
    reduction: Cell

    def __str__(self) -> str:
        return f"normal: {self.normal} | reduction: {self.reduction}"

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """The genotype of a text written by `str`.

        Raises:
            RaysweepError: the text is invalid; the message says where, and what is expected.
        """
        cells = re.fullmatch(r"\s*normal:([^|]*)\|\s*reduction:([^|]*)", text)
        if cells is None:
            raise RaysweepError(
                f"invalid genotype {text!r}: it must be 'normal: CELL | reduction: CELL', such as '{NASNET_A}'."
            )
        return cls(_cell(cells[1], "normal cell"), _cell(cells[2], "reduction cell"))


def _cell(text: str, place: str) -> Cell:
    parts = re.fullmatch(r"([^>]*)->([\s\d,]*)", text)
    if parts is None:
        raise RaysweepError(
            f"genotype, {place}: {text.strip()!r} must list nodes and, after ->, the states of the output."
        )
    nodes = [_node(node, f"{place}, node {number}") for number, node in enumerate(parts[1].split(";"), 1)]
    try:
        return Cell(tuple(nodes), tuple(map(int, re.findall(r"\d+", parts[2]))))
    except RaysweepError as error:
        raise RaysweepError(f"genotype, {place}: {error}") from None


def _node(text: str, place: str) -> tuple[Step, Step]:
    steps = re.fullmatch(r"\s*(\w+) +(\d+) *, *(\w+) +(\d+)\s*", text)
    if steps is None:
        example = f"{SEP_3} 1, {IDENTITY} 0"
        raise RaysweepError(
            f"genotype, {place}: {text.strip()!r} must be two operations, each with a state, such as '{example}'."
        )
    for operation in steps.group(1, 3):
        if operation not in ALL_OPERATIONS:
            near = did_you_mean(operation, ALL_OPERATIONS)
            raise RaysweepError(f"genotype, {place}: unknown operation {operation!r}.{near}")
    return (steps[1], int(steps[2])), (steps[3], int(steps[4]))


def loose_ends(nodes: Iterable[tuple[Step, Step]]) -> tuple[int, ...]:
    """The states of nodes that no other node uses."""
    nodes = tuple(nodes)
    used = {source for steps in nodes for _, source in steps}
    return tuple(state for state in range(INPUTS, INPUTS + len(nodes)) if state not in used)


IDENTITY = "identity"
SEP_3, SEP_5, SEP_7 = "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"
DIL_SEP_3, DIL_SEP_5 = "dil_sep_conv_3x3", "dil_sep_conv_5x5"
AVG_3, MAX_3, MAX_5, MAX_7 = "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7"
CONV_1, CONV_3, DIL_3 = "conv_1x1", "conv_3x3", "dil_conv_3x3"
CONV_1X3, CONV_1X7 = "conv_1x3_3x1", "conv_1x7_7x1"

# The lists of NNI's `hub/pytorch/nasnet.py`, without DARTS' `none`, which derived cells never have.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "nasnet": (
        *(IDENTITY, CONV_1X3, CONV_1X7, DIL_3, AVG_3, MAX_3, MAX_5, MAX_7),
        *(CONV_1, CONV_3, SEP_3, SEP_5, SEP_7),
    ),
    "amoebanet": (IDENTITY, SEP_3, SEP_5, SEP_7, AVG_3, MAX_3, DIL_SEP_3, CONV_1X7),
    "pnas": (SEP_3, SEP_5, SEP_7, CONV_1X7, IDENTITY, AVG_3, MAX_3, DIL_3),
    "enas": (SEP_3, SEP_5, AVG_3, MAX_3, IDENTITY),
    "darts": (MAX_3, AVG_3, IDENTITY, SEP_3, SEP_5, DIL_SEP_3, DIL_SEP_5),
}
ALL_OPERATIONS = sorted({operation for operations in OPERATIONS.values() for operation in operations})

# tensorflow/models, slim/nets/nasnet/nasnet_utils.py.
NASNET_A = Genotype.parse(
    "normal: sep_conv_5x5 1, sep_conv_3x3 0; sep_conv_5x5 0, sep_conv_3x3 0; avg_pool_3x3 1, identity 0; "
    "avg_pool_3x3 0, avg_pool_3x3 0; sep_conv_3x3 1, identity 1 -> 0,2,3,4,5,6 "
    "| reduction: sep_conv_5x5 1, sep_conv_7x7 0; max_pool_3x3 1, sep_conv_7x7 0; "
    "avg_pool_3x3 1, sep_conv_5x5 0; identity 3, avg_pool_3x3 2; sep_conv_3x3 2, max_pool_3x3 1 -> 3,4,5,6"
)

# tensorflow/tpu, amoeba_net/model_specs.py: the cell that Google released. The cell called AmoebaNet in quark0/darts
# differs, see `AMOEBANET_DARTS` below.
AMOEBANET_A = Genotype.parse(
    "normal: avg_pool_3x3 1, max_pool_3x3 1; sep_conv_3x3 0, identity 0; identity 1, avg_pool_3x3 0; "
    "sep_conv_3x3 1, sep_conv_5x5 2; avg_pool_3x3 5, sep_conv_3x3 1 -> 0,3,4,6 "
    "| reduction: sep_conv_3x3 0, avg_pool_3x3 1; max_pool_3x3 1, sep_conv_7x7 2; "
    "max_pool_3x3 0, max_pool_3x3 1; sep_conv_3x3 4, conv_1x7_7x1 1; avg_pool_3x3 0, sep_conv_7x7 1 -> 2,3,4,5,6"
)

# quark0/darts, cnn/genotypes.py.
AMOEBANET_DARTS = Genotype.parse(
    "normal: avg_pool_3x3 0, max_pool_3x3 1; sep_conv_3x3 0, sep_conv_5x5 2; sep_conv_3x3 0, avg_pool_3x3 3; "
    "sep_conv_3x3 1, identity 1; identity 0, avg_pool_3x3 1 -> 4,5,6 "
    "| reduction: avg_pool_3x3 0, sep_conv_3x3 1; max_pool_3x3 0, sep_conv_7x7 2; "
    "sep_conv_7x7 0, avg_pool_3x3 1; max_pool_3x3 0, max_pool_3x3 1; conv_1x7_7x1 0, sep_conv_3x3 5 -> 3,4,6"
)
NASNET_DARTS = Genotype(Cell(NASNET_A.normal.nodes, (2, 3, 4, 5, 6)), Cell(NASNET_A.reduction.nodes, (4, 5, 6)))
DARTS_V1 = Genotype.parse(
    "normal: sep_conv_3x3 1, sep_conv_3x3 0; identity 0, sep_conv_3x3 1; identity 0, sep_conv_3x3 1; "
    "sep_conv_3x3 0, identity 2 -> 2,3,4,5 "
    "| reduction: max_pool_3x3 0, max_pool_3x3 1; identity 2, max_pool_3x3 0; max_pool_3x3 0, identity 2; "
    "identity 2, avg_pool_3x3 0 -> 2,3,4,5"
)
DARTS_V2 = Genotype.parse(
    "normal: sep_conv_3x3 0, sep_conv_3x3 1; sep_conv_3x3 0, sep_conv_3x3 1; sep_conv_3x3 1, identity 0; "
    "identity 0, dil_sep_conv_3x3 2 -> 2,3,4,5 "
    "| reduction: max_pool_3x3 0, max_pool_3x3 1; identity 2, max_pool_3x3 1; max_pool_3x3 0, identity 2; "
    "identity 2, max_pool_3x3 1 -> 2,3,4,5"
)

# melodyguan/enas, scripts/cifar10_micro_final.sh.
ENAS_MICRO = Genotype.parse(
    "normal: avg_pool_3x3 0, sep_conv_3x3 0; identity 0, sep_conv_5x5 0; identity 0, sep_conv_5x5 1; "
    "sep_conv_3x3 1, sep_conv_5x5 0; avg_pool_3x3 0, sep_conv_5x5 1 -> 2,3,4,5,6 "
    "| reduction: sep_conv_3x3 1, sep_conv_3x3 1; max_pool_3x3 0, avg_pool_3x3 0; "
    "sep_conv_5x5 1, sep_conv_5x5 3; sep_conv_3x3 1, identity 0; max_pool_3x3 0, sep_conv_5x5 1 -> 2,4,5,6"
)

GENOTYPES = {
    "nasnet_a": NASNET_A,
    "nasnet_darts": NASNET_DARTS,
    "amoebanet_a": AMOEBANET_A,
    "amoebanet_darts": AMOEBANET_DARTS,
    "enas_micro": ENAS_MICRO,
    "darts_v1": DARTS_V1,
    "darts_v2": DARTS_V2,
}
"""Published cells by name."""
