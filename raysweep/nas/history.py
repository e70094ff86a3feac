"""What a search has found."""

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
    """Every evaluation of a search in the order of completion, and what they cost."""

    evaluations: tuple[Evaluated[A], ...]
    spent: Spent

    @property
    def clock_s(self) -> float:
        """When the last evaluation ended, in seconds since the search began."""
        return max((one.clock_s for one in self.evaluations), default=0.0)

    @property
    def best(self) -> Evaluated[A]:
        """The best of those of the highest fidelity that any has finished at, the first of equals.

        Raises:
            RaysweepError: none has finished.
        """
        finished = [one for one in self.evaluations if one.status == "finished"]
        if not finished:
            raise RaysweepError(f"none of {len(self.evaluations)} evaluations has finished: there is no best one.")
        return max(finished, key=lambda one: (one.fidelity or 0.0, one.value))

    def best_values(self) -> list[float]:
        """The best value so far after each evaluation of the highest fidelity, minus infinity before the first."""
        top = max((one.fidelity or 0.0 for one in self.evaluations), default=0.0)
        best, found = FAILED, []
        for one in self.evaluations:
            best = max(best, one.value) if (one.fidelity or 0.0) == top else best
            found.append(best)
        return found

    def to_table(self) -> pa.Table:
        """One row an evaluation, architectures as text."""
        import pyarrow as pa

        return pa.Table.from_pylist([vars(one) | {"architecture": str(one.architecture)} for one in self.evaluations])
