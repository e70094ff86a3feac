"""Carrying searches out: in turn, by many workers on a virtual clock, with losses, interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import Evaluation, History, LostWorkerError, search
from raysweep.nas.ask_tell import MAX_ATTEMPTS, Proposal
from raysweep.nas.driver import Lose, run_in_turn, simulate
from raysweep.nas.space import randomness
from tests.nas.bits_space import BitString
from tests.nas.searches import BITS, METHODS, begin, ones


def simulated(workers: int, *, barrier: bool = False, lose: Lose | None = None, **options: Any) -> History[str]:
    asking = begin("evolution", 60, population=10, sample=5, **options)
    simulate(asking, ones, workers, barrier=barrier, lose=lose)
    asking.close()
    return asking.history()


def lost(proposal: Proposal[Any]) -> float | None:
    """A fifth of all attempts but the last are lost, somewhere along the way."""
    rng = randomness(99, proposal.number * MAX_ATTEMPTS + proposal.attempt)
    return float(rng.random()) if rng.random() < 0.2 and proposal.attempt < MAX_ATTEMPTS else None


def test_one_simulated_worker_equals_the_sequential_search() -> None:
    asking = begin("evolution", 60, population=10, sample=5)
    run_in_turn(asking, ones)
    assert simulated(1).evaluations == asking.history().evaluations


def test_workers_are_always_busy_except_at_a_barrier() -> None:
    free, batches = simulated(8), simulated(8, barrier=True)
    assert len(free.evaluations) == len(batches.evaluations) == 60
    assert free.clock_s < free.spent.cost_s / 8 + 8
    assert batches.clock_s > batches.spent.cost_s / 8 * 1.2
    ends = [one.clock_s for one in free.evaluations]
    assert ends == sorted(ends)


def test_an_evaluation_ends_its_cost_after_it_was_issued() -> None:
    history = search(BitString(6), ones, method="random_dedup", budget=3, seed=0, workers=3)
    assert [one.clock_s for one in history.evaluations] == [one.cost_s for one in history.evaluations]


@pytest.mark.parametrize("interrupted_after", [1, 17, 40])
def test_an_interrupted_simulation_resumes_identically(tmp_path: Path, interrupted_after: int) -> None:
    whole = simulated(8, lose=lost)
    calls = 0

    def evaluate(bits: str) -> Evaluation:
        nonlocal calls
        calls += 1
        if calls > interrupted_after:
            raise KeyboardInterrupt
        return ones(bits)

    asking = begin("evolution", 60, log=tmp_path / "log", population=10, sample=5)
    with pytest.raises(KeyboardInterrupt):
        simulate(asking, evaluate, 8, lose=lost)
    asking.close()
    resumed = simulated(8, lose=lost, log=tmp_path / "log")
    assert resumed.evaluations == whole.evaluations
    assert resumed.spent == whole.spent


@pytest.mark.parametrize(("method", "options"), METHODS, ids=lambda value: str(value))
@pytest.mark.parametrize("workers", [1, 5])
def test_a_larger_budget_begins_with_the_smaller_one(
    tmp_path: Path, method: str, options: dict[str, Any], workers: int
) -> None:
    path = tmp_path / "log"
    first = search(BITS, ones, method=method, budget=20, seed=2, workers=workers, log=path, **options)
    longer = search(BITS, ones, method=method, budget=30, seed=2, workers=workers, log=path, **options)
    again = search(BITS, ones, method=method, budget=30, seed=2, workers=workers, log=path, **options)
    assert longer.evaluations[:20] == first.evaluations
    assert len(longer.evaluations) == 30
    assert again == longer


def test_retried_losses_change_only_the_time() -> None:
    asking = begin("evolution", 60, population=10, sample=5)
    simulate(asking, ones, 1, lose=lost)
    losing, whole = asking.history(), simulated(1)
    assert max(one.attempts for one in losing.evaluations) >= 2
    assert [one.architecture for one in losing.evaluations] == [one.architecture for one in whole.evaluations]
    assert losing.spent.cost_s == pytest.approx(losing.clock_s)
    assert losing.clock_s > whole.clock_s


def test_an_evaluate_can_lose_its_worker_or_run_out_of_memory() -> None:
    calls: list[str] = []

    def evaluate(bits: str) -> Evaluation:
        calls.append(bits)
        if len(calls) == 2:
            raise LostWorkerError("node gone", cost_s=7.0)
        if len(calls) == 4:
            raise MemoryError
        return Evaluation(0.5, 1.0)

    for workers in (1, 2):
        calls.clear()
        history = search(BITS, evaluate, method="random_dedup", budget=4, seed=0, workers=workers)
        assert len(calls) == 5
        assert sorted(one.status for one in history.evaluations) == ["finished"] * 3 + ["out_of_memory"]
        assert sorted(one.attempts for one in history.evaluations) == [1, 1, 1, 2]
        assert history.spent.cost_s == 7.0 + 3.0


def test_an_error_in_evaluate_propagates_and_the_search_can_resume(tmp_path: Path) -> None:
    def evaluate(bits: str) -> Evaluation:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(BITS, evaluate, method="random", budget=5, seed=0, log=tmp_path / "log")
    history = search(BITS, ones, method="random", budget=5, seed=0, log=tmp_path / "log")
    assert history.evaluations == search(BITS, ones, method="random", budget=5, seed=0).evaluations


def test_a_result_that_is_not_an_evaluation_is_an_error() -> None:
    with pytest.raises(RaysweepError, match=r"float.*Evaluation"):
        search(BITS, lambda bits: 0.5, method="random", budget=5, seed=0)  # type: ignore[arg-type, return-value]
    with pytest.raises(RaysweepError, match="workers.*0"):
        search(BITS, ones, method="random", budget=5, seed=0, workers=0)


def test_a_history_is_a_table_too() -> None:
    history = simulated(3)
    table = history.to_table()
    assert table["value"].to_pylist() == [one.value for one in history.evaluations]
    assert table["architecture"].to_pylist() == [str(one.architecture) for one in history.evaluations]


def test_a_custom_space_works_with_every_method_it_supports() -> None:
    """A space of four methods and a table, from outside."""

    class Sides:
        def sample(self, rng: Any) -> tuple[int, int]:
            return int(rng.integers(9)), int(rng.integers(9))

        def mutate(self, architecture: tuple[int, int], rng: Any) -> tuple[int, int]:
            return architecture[0], int(rng.integers(9))

        def neighbours(self, architecture: tuple[int, int]) -> list[tuple[int, int]]:
            return [(architecture[0], side) for side in range(9) if side != architecture[1]]

        def encode(self, architecture: tuple[int, int]) -> tuple[int, ...]:
            return architecture

        def key(self, architecture: tuple[int, int]) -> str:
            return str(sorted(architecture))

    table = {(a, b): a * b for a in range(9) for b in range(9)}
    for method in ("random", "random_dedup", "evolution", "local_search"):
        history = search(
            Sides(), lambda sides: Evaluation(value=table[sides], cost_s=1.0), method=method, budget=40, seed=0
        )
        assert history.best.value >= 48
