"""Whether shared weights rank architectures as trainings of each by itself do.

    ranking = compare(space, shared, evaluate, seed=0)   # evaluate(architecture) trains it by itself
    print(ranking.kendall_tau, ranking.spearman_rho, ranking.num_pairs)
    pyarrow.parquet.write_table(ranking.to_table(), "ranking.parquet")

Yu et al. 2020 ("Evaluating the search phase of neural architecture search", arXiv 1902.08142) found that they did not.
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
"""Architectures compared unless told otherwise."""
TRIES = 10_000
"""Samples in a row that are known, after which the space counts as exhausted."""


@dataclass(frozen=True)
class Pair(Generic[A]):
    """One architecture, scored in both ways."""

    architecture: A
    key: str
    shared: Evaluation
    alone: Evaluation

    @property
    def is_whole(self) -> bool:
        """Whether both have finished."""
        return self.shared.status == self.alone.status == "finished"


@dataclass(frozen=True)
class Ranking(Generic[A]):
    """Architectures with both scores, and how far the orders agree; failed ones are in the table and do not count."""

    seed: int
    """That the architectures were drawn by."""
    pairs: tuple[Pair[A], ...]

    @property
    def num_pairs(self) -> int:
        """Architectures that count."""
        return len(self._scores[0])

    @cached_property
    def kendall_tau(self) -> float:
        """Tau-b, from -1 to 1; not a number where either score is the same for all."""
        return self._correlation("kendalltau")

    @cached_property
    def spearman_rho(self) -> float:
        """Correlation of the ranks, from -1 to 1; not a number where either score is the same for all."""
        return self._correlation("spearmanr")

    def to_table(self, **columns: Any) -> pa.Table:
        """One row an architecture: see `schema`. `columns` are further ones that are the same in every row.

        The metadata hold the two correlations and how many architectures they are of.
        """
        import pyarrow as pa

        rows = [self._row(pair) | columns for pair in self.pairs]
        fields = [pa.field(name, pa.array([value]).type) for name, value in columns.items()]
        metadata = {name: str(getattr(self, name)) for name in ("kendall_tau", "spearman_rho", "num_pairs")}
        return pa.Table.from_pylist(rows, schema=pa.schema([*schema(), *fields], metadata=metadata))

    def _row(self, pair: Pair[A]) -> dict[str, Any]:
        row = {"architecture": str(pair.architecture), "key": pair.key, "seed": self.seed}
        for way, ended in (("shared", pair.shared), ("standalone", pair.alone)):
            value = ended.value if ended.status == "finished" else None
            row |= {f"{way}_top1": value, f"{way}_status": ended.status, f"{way}_cost_s": ended.cost_s}
        return row

    @property
    def _scores(self) -> tuple[list[float], list[float]]:
        whole = [pair for pair in self.pairs if pair.is_whole]
        return [pair.shared.value for pair in whole], [pair.alone.value for pair in whole]

    def _correlation(self, name: str) -> float:
        from scipy import stats

        shared, alone = self._scores
        if len(set(shared)) < 2 or len(set(alone)) < 2:
            return math.nan
        return float(getattr(stats, name)(shared, alone).statistic)


def schema() -> pa.Schema:
    """Columns of a ranking: top-1 accuracies are shares (0..1), null where the evaluation has failed."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    ways = [
        (f"{way}_{what}", kind)
        for way in ("shared", "standalone")
        for what, kind in (("top1", number), ("status", text), ("cost_s", number))
    ]
    return pa.schema([("architecture", text), ("key", text), ("seed", pa.int64()), *ways])


def compare(
    space: Space[A],
    shared: Evaluate,
    evaluate: Evaluate,
    *,
    seed: int,
    pairs: int = PAIRS,
    architectures: Sequence[A] = (),
) -> Ranking[A]:
    """Score different architectures with shared weights and by themselves: those given, then samples of the space.

    Both are called as `search` calls its `evaluate`; an `evaluate` that keeps its trainings can be called again after
    an interruption.

    Raises:
        RaysweepError: fewer than 2 pairs, a space that has not so many, or something returned that is no `Evaluation`.
    """
    if pairs < 2:
        raise RaysweepError(f"pairs is {pairs}: a rank correlation needs 2 or more.")
    chosen = different(space, architectures, pairs, seed)
    return Ranking(
        seed, tuple(Pair(one, key, call(shared, one, None), call(evaluate, one, None)) for key, one in chosen.items())
    )


def different(space: Space[A], given: Iterable[A], count: int, seed: int) -> dict[str, A]:
    """What `compare` compares, by key: those given, then samples of the space until there are so many.

    Raises:
        RaysweepError: the space has not so many.
    """
    chosen = {space.key(architecture): architecture for architecture in given}
    for number in range(TRIES):
        if len(chosen) >= count:
            return chosen
        sampled = space.sample(randomness(seed, number))
        chosen.setdefault(space.key(sampled), sampled)
    raise RaysweepError(f"{TRIES:,} samples of the space have {len(chosen)} architectures, not {count}: lower pairs.")
