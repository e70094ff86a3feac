"""Compares how a supernet ranks architectures with how individual trainings rank them.

    ranking = compare(space, supernet, evaluate, seed=0)   # evaluate(architecture) trains it individually
    print(ranking.kendall_tau, ranking.spearman_rho, ranking.num_pairs)
    pyarrow.parquet.write_table(ranking.to_table(), "ranking.parquet")

Yu et al. 2020 ("Evaluating the search phase of neural architecture search", arXiv 1902.08142) found little agreement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.evaluation import Evaluate, Evaluation, call
from raysweep.nas.space import Space, randomness

if TYPE_CHECKING:
    import pyarrow as pa

A = TypeVar("A")
PAIRS = 20
"""Default number of architectures to compare."""
TRIES = 10_000
"""Samples drawn after which the space counts as exhausted."""


@dataclass(frozen=True)
class Pair(Generic[A]):
    """One architecture with both scores."""

    architecture: A
    key: str
    supernet: Evaluation
    individual: Evaluation

    @property
    def is_whole(self) -> bool:
        """Whether both evaluations have finished."""
        return self.supernet.status == self.individual.status == "finished"


@dataclass(frozen=True)
class Ranking(Generic[A]):
    """Architectures with both scores, and the agreement of the two orders, which leaves out failed evaluations."""

    seed: int
    """The seed that the architectures were drawn with."""
    pairs: tuple[Pair[A], ...]

    @property
    def num_pairs(self) -> int:
        """Number of architectures with two finished evaluations."""
        return len(self._scores[0])

    @cached_property
    def kendall_tau(self) -> float:
        """Kendall's tau-b, from -1 to 1; NaN if all architectures have the same score."""
        return self._correlation("kendalltau")

    @cached_property
    def spearman_rho(self) -> float:
        """Spearman's correlation of the ranks, from -1 to 1; NaN if all architectures have the same score."""
        return self._correlation("spearmanr")

    def to_table(self, **columns: Any) -> pa.Table:
        """A table with one row per architecture, with these further columns. Its metadata hold the correlations.

        Top-1 accuracies are fractions (0..1), null if the evaluation failed.
        """
        import pyarrow as pa

        table = pa.Table.from_pylist([self._row(pair) | columns for pair in self.pairs])
        # A column of failed evaluations only has no type of its own.
        fields = [field.with_type(pa.float64()) if pa.types.is_null(field.type) else field for field in table.schema]
        metadata = {name: str(getattr(self, name)) for name in ("kendall_tau", "spearman_rho", "num_pairs")}
        return table.cast(pa.schema(fields, metadata=metadata))

    def _row(self, pair: Pair[A]) -> dict[str, Any]:
        row = {"architecture": str(pair.architecture), "key": pair.key, "seed": self.seed}
        for way, ended in (("shared", pair.supernet), ("standalone", pair.individual)):
            value = ended.value if ended.status == "finished" else None
            row |= {f"{way}_top1": value, f"{way}_status": ended.status, f"{way}_cost_s": ended.cost_s}
        return row

    @property
    def _scores(self) -> tuple[list[float], list[float]]:
        whole = [pair for pair in self.pairs if pair.is_whole]
        return [pair.supernet.value for pair in whole], [pair.individual.value for pair in whole]

    def _correlation(self, name: str) -> float:
        from scipy import stats

        supernet, individual = self._scores
        if len(set(supernet)) < 2 or len(set(individual)) < 2:
            return math.nan
        return float(getattr(stats, name)(supernet, individual).statistic)


def compare(
    space: Space[A],
    supernet: Evaluate,
    evaluate: Evaluate,
    *,
    seed: int,
    pairs: int = PAIRS,
    architectures: Sequence[A] = (),
) -> Ranking[A]:
    """Score different architectures with a supernet and individually: those given, then samples of the space.

    Both are called as `search` calls its `evaluate`. An `evaluate` that stores its trainings can be called again after
    an interruption.

    Raises:
        RaysweepError: fewer than 2 pairs, a space with too few architectures, or a result that is not an `Evaluation`.
    """
    if pairs < 2:
        raise RaysweepError(f"pairs is {pairs}: a rank correlation needs at least 2.")
    chosen = different(space, architectures, pairs, seed)
    return Ranking(
        seed, tuple(Pair(one, key, call(supernet, one, None), call(evaluate, one, None)) for key, one in chosen.items())
    )


def different(space: Space[A], given: Iterable[A], count: int, seed: int) -> dict[str, A]:
    """The architectures for `compare` by key: those given, then samples of the space, `count` in total.

    Raises:
        RaysweepError: the space has too few architectures.
    """
    chosen = {space.key(architecture): architecture for architecture in given}
    for number in range(TRIES):
        if len(chosen) >= count:
            return chosen
        sampled = space.sample(randomness(seed, number))
        chosen.setdefault(space.key(sampled), sampled)
    raise RaysweepError(
        f"{TRIES:,} samples of the space gave only {len(chosen)} different architectures, not {count}: use fewer pairs."
    )
