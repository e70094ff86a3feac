"""Cells of NAS-Bench-201 and their text form, see `raysweep.nas.nasbench201_space`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysweep.errors import RaysweepError, unknown

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = tuple((source, node) for node in (1, 2, 3) for source in range(node))
"""Source and target of each edge, in the order of the benchmark's text form."""
STEM, STACKS, CELLS = 16, 3, 5
"""Channels of the first convolution, which double with each further stack; stacks; cells per stack."""


@dataclass(frozen=True)
class Cell201:
    """A cell: the operation of each edge, in the order of `EDGES`."""

    operations: tuple[str, ...]

    def __str__(self) -> str:
        """The text form of the benchmark."""
        words = [f"{operation}~{source}" for operation, (source, _) in zip(self.operations, EDGES, strict=True)]
        return f"|{words[0]}|+|{'|'.join(words[1:3])}|+|{'|'.join(words[3:])}|"

    @classmethod
    def parse(cls, text: str) -> Cell201:
        """The cell of the benchmark's text form.

        Raises:
            RaysweepError: invalid text, or an operation that the space does not have.
        """
        cell = cls(tuple(re.findall(r"\|([^|~+]+)~\d(?=\|)", text.replace("|", "||"))))
        for operation in cell.operations:
            if operation not in OPERATIONS:
                raise unknown("operation", operation, OPERATIONS)
        if len(cell.operations) != len(EDGES) or str(cell) != text:
            raise RaysweepError(f"invalid cell {text!r}: it must have the form {cls(OPERATIONS[:1] * len(EDGES))}.")
        return cell
