"""The results of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.budget import Spent
from raysweep.nas.evaluation import FAILED, Evaluated

if TYPE_CHECKING:
    import pyarrow as pa

A = TypeVar("A")


@dataclass(frozen=True)
class History(Generic[A]):
    """All evaluations of a search in order of completion, and what they cost."""

    evaluations: tuple[Evaluated[A], ...]
    spent: Spent

    @property
    def clock_s(self) -> float:
        """Time at which the last evaluation ended, in seconds since the search began."""
        return max((one.clock_s for one in self.evaluations), default=0.0)

    @property
    def best(self) -> Evaluated[A]:
        """The best evaluation at the highest fidelity at which any has finished; the first among equals.

        Raises:
            RaysweepError: no evaluation has finished.
        """
        finished = [one for one in self.evaluations if one.status == "finished"]
        if not finished:
            raise RaysweepError(f"no best architecture: none of {len(self.evaluations)} evaluations has finished.")
        return max(finished, key=lambda one: (one.fidelity or 0.0, one.value))

    def best_values(self) -> list[float]:
        """The best value at the highest fidelity after each evaluation; minus infinity before the first."""
        top = max((one.fidelity or 0.0 for one in self.evaluations), default=0.0)
        best, found = FAILED, []
        for one in self.evaluations:
            best = max(best, one.value) if (one.fidelity or 0.0) == top else best
            found.append(best)
        return found

    def to_table(self) -> pa.Table:
        """A table with one row per evaluation, architectures as text."""
        import pyarrow as pa

        return pa.Table.from_pylist([vars(one) | {"architecture": str(one.architecture)} for one in self.evaluations])
