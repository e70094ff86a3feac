"""Shared weights against trainings by themselves."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import Evaluation
from raysweep.nas.ranking import Pair, Ranking, compare
from raysweep.store.schema import RANKING
from tests.nas.bits_space import BitString


def ranking(shared: list[float], alone: list[float]) -> Ranking[str]:
    pairs = zip(shared, alone, strict=True)
    return Ranking(0, tuple(Pair(str(at), str(at), Evaluation(x), Evaluation(y)) for at, (x, y) in enumerate(pairs)))


def test_correlations_are_those_of_their_definitions() -> None:
    """Of 6 pairs 4 agree and 2 do not; squared differences of ranks sum to 1 + 1 + 1 + 1."""
    found = ranking([0.1, 0.2, 0.3, 0.4], [0.2, 0.1, 0.4, 0.3])
    assert found.kendall_tau == pytest.approx((4 - 2) / 6)
    assert found.spearman_rho == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert ranking([1, 2, 3], [5, 6, 9]).kendall_tau == 1
    assert ranking([1, 2, 3], [9, 6, 5]).spearman_rho == pytest.approx(-1)
    assert math.isnan(ranking([1, 1, 1], [5, 6, 9]).kendall_tau)


def test_failed_trainings_are_in_the_table_but_not_in_the_correlation() -> None:
    def alone(bits: str) -> Evaluation:
        ones = bits.count("1")
        return Evaluation(0.0, 7.0, status="diverged") if ones == 4 else Evaluation(ones / 8, 7.0)

    def shared(bits: str) -> Evaluation:
        return Evaluation(bits.count("1") / 16, 1.0)

    space = BitString(8)
    found = compare(space, shared, alone, seed=2, architectures=["11110000", "10000000"])
    table = found.to_table(bn="batch", epochs=7)
    rows: list[dict[str, Any]] = table.to_pylist()
    assert len({row["key"] for row in rows}) == 20
    assert [row["architecture"] for row in rows[:2]] == ["11110000", "10000000"]
    assert rows[0]["standalone_top1"] is None
    assert rows[0]["standalone_status"] == "diverged"
    assert rows[1]["shared_top1"] == 1 / 16
    assert rows[1]["standalone_cost_s"] == 7.0
    assert table.schema.names == [*RANKING.names, "bn", "epochs"]
    assert table.schema.types[:-2] == RANKING.types
    assert found.num_pairs == sum(row["standalone_top1"] is not None for row in rows) < 20
    assert found.kendall_tau == found.spearman_rho == pytest.approx(1)
    assert table.schema.metadata[b"num_pairs"] == str(found.num_pairs).encode()
    assert compare(space, shared, alone, seed=2, architectures=["11110000", "10000000"]) == found
    assert pa.types.is_int64(table.schema.field("epochs").type)


def test_too_few_architectures_are_refused() -> None:
    def evaluate(bits: str) -> Evaluation:
        return Evaluation(0.0)

    with pytest.raises(RaysweepError, match=" 4 .*not 5"):
        compare(BitString(2), evaluate, evaluate, seed=0, pairs=5)
    with pytest.raises(RaysweepError, match="pairs.*1"):
        compare(BitString(2), evaluate, evaluate, seed=0, pairs=1)
