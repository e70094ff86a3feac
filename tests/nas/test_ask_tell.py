"""The conversation: replay, what is in flight, what is lost, what is charged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import Budget, Evaluation
from raysweep.nas.ask_tell import MAX_ATTEMPTS, REPEATS, AskTell
from raysweep.nas.log import read_log
from tests.nas.bits_space import BitString
from tests.nas.searches import BITS, METHODS, begin, ones


def wander(search: AskTell[Any], rng: np.random.Generator, steps: int) -> None:
    """Ask, tell in any order, lose workers, as a cluster might."""
    for step in range(steps):
        at_work = search.in_flight
        if at_work and rng.random() < 0.5:
            proposal = at_work[int(rng.integers(len(at_work)))]
            if rng.random() < 0.2:
                search.lose(proposal.number, 0.5, float(step))
            else:
                search.tell(proposal.number, _some_end(proposal.architecture, rng), float(step))
        else:
            search.ask(float(step))


def _some_end(bits: str, rng: np.random.Generator) -> Evaluation:
    if rng.random() < 0.1:
        return Evaluation(math.nan, 1.0, epochs=2.0)
    return Evaluation(0.0, 1.0, "out_of_memory") if rng.random() < 0.1 else ones(bits)


@pytest.mark.parametrize(("method", "options"), METHODS, ids=lambda value: str(value))
def test_a_search_resumes_identically_from_its_log(tmp_path: Path, method: str, options: dict[str, Any]) -> None:
    first = begin(method, 60, log=tmp_path / "log", **options)
    wander(first, np.random.default_rng(1), 70)
    state = (first.evaluations, first.spent, sorted(first.in_flight, key=lambda proposal: proposal.number))
    first.close()
    again = begin(method, 60, log=tmp_path / "log", **options)
    assert (again.evaluations, again.spent, sorted(again.in_flight, key=lambda p: p.number)) == state
    handed_out = [again.ask() for _ in state[2]]
    assert {one.number for one in handed_out if one} == {one.number for one in state[2]}
    # Both go on from here: neither has a proposal that was lost and is not yet handed out again.
    for one in state[2]:
        assert again.tell(one.number, ones(one.architecture), 99.0)
    rest = [again.ask() for _ in range(5)]
    again.close()
    third = begin(method, 60, log=tmp_path / "log", **options)
    assert third.in_flight == [one for one in rest if one is not None]
    third.close()


def test_proposals_depend_only_on_seed_and_results() -> None:
    def proposed(seed: int) -> list[str]:
        search = begin("evolution", 30, seed, population=5, sample=3)
        return [_step(search) for _ in range(30)]

    assert proposed(3) == proposed(3)
    assert proposed(3) != proposed(4)


def _step(search: AskTell[Any]) -> str:
    proposal = search.ask()
    assert proposal is not None
    search.tell(proposal.number, ones(proposal.architecture))
    return str(proposal.architecture)


def test_a_changed_method_or_space_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = begin("random", log=tmp_path / "log")
    search.ask()
    search.close()
    with pytest.raises(RaysweepError, match="method 'RandomSearch"):
        begin("random_dedup", log=tmp_path / "log")
    monkeypatch.setattr(BitString, "sample", lambda self, rng: "0" * self.length)
    with pytest.raises(RaysweepError, match="proposal 0 "):
        begin("random", log=tmp_path / "log")


def test_a_result_counts_once() -> None:
    search = begin("random")
    proposal = search.ask()
    assert proposal is not None
    assert search.tell(0, Evaluation(0.5, 1.0))
    assert not search.tell(0, Evaluation(0.9, 1.0))
    assert not search.lose(0)
    assert [one.value for one in search.evaluations] == [0.5]
    with pytest.raises(RaysweepError, match="proposal 7"):
        search.tell(7, Evaluation(0.5))


def test_the_first_result_counts_after_a_worker_was_given_up_too_early() -> None:
    search = begin("random")
    proposal = search.ask()
    assert proposal is not None
    search.lose(0, 5.0)
    assert search.tell(0, ones(proposal.architecture))
    following = search.ask()
    assert following is not None
    assert following.number == 1


def test_a_lost_proposal_is_handed_out_again_up_to_a_limit_and_charged() -> None:
    search = begin("evolution", 3, population=2, sample=1)
    for attempt in range(MAX_ATTEMPTS):
        proposal = search.ask(float(attempt))
        assert proposal is not None
        assert (proposal.number, proposal.issued_s) == (0, float(attempt))
        search.lose(0, 1.0, attempt + 1.0)
    (ended,) = search.evaluations
    assert (ended.status, ended.value, ended.attempts, ended.cost_s) == ("lost", -math.inf, MAX_ATTEMPTS, 3.0)
    assert (search.spent.cost_s, search.spent.evaluations) == (3.0, 1)
    proposal = search.ask()
    assert proposal is not None
    assert proposal.number == 1


@pytest.mark.parametrize(
    ("evaluation", "status"),
    [
        (Evaluation(math.nan, 2.0), "diverged"),
        (Evaluation(math.inf, 2.0), "diverged"),
        (Evaluation(0.5, 2.0, "diverged"), "diverged"),
        (Evaluation(0.5, 2.0, "out_of_memory"), "out_of_memory"),
        (Evaluation(0.5, 2.0), "finished"),
    ],
)
def test_each_outcome_has_a_status_and_is_charged(evaluation: Evaluation, status: str) -> None:
    search = begin("evolution", 2)
    search.ask()
    search.tell(0, evaluation)
    (ended,) = search.evaluations
    assert (ended.status, ended.value) == (status, 0.5 if status == "finished" else -math.inf)
    assert (search.spent.evaluations, search.spent.cost_s) == (1, 2.0)


@pytest.mark.parametrize(
    ("budget", "evaluations"),
    [
        (7, 7),
        (Budget(evaluations=7), 7),
        (Budget(epochs=20.0), 5),
        (Budget(macs=2.5e9), 3),
        (Budget(hours=1.0), 4),
        (Budget(evaluations=6, hours=1.0), 4),
    ],
)
def test_a_budget_ends_a_search(budget: Any, evaluations: int) -> None:
    search = begin("random_dedup", budget)
    while (proposal := search.ask()) is not None:
        search.tell(proposal.number, Evaluation(0.5, 1000.0, epochs=4.0, macs=1e9))
    assert len(search.evaluations) == evaluations


def test_proposals_in_flight_count_towards_the_budget() -> None:
    search = begin("random_dedup", 3)
    assert [search.ask() is None for _ in range(4)] == [False, False, False, True]


def test_equal_architectures_are_evaluated_once(tmp_path: Path) -> None:
    search = begin("random", 12, space=BitString(1), log=tmp_path / "log")
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    assert {first.architecture, second.architecture} == {"0", "1"}
    assert search.ask() is None
    search.tell(first.number, ones(first.architecture, None))
    waited = list(search.evaluations)
    assert all(one.reused == (one.number != first.number) for one in waited)
    search.tell(second.number, ones(second.architecture))
    assert len(search.evaluations) == 12
    assert {one.value for one in search.evaluations if one.architecture == "0"} == {0.0}
    assert sum(one.cost_s for one in search.evaluations) == search.spent.cost_s > 0
    assert [event.kind for event in read_log(tmp_path / "log")].count("told") == 2
    search.close()


def test_without_reuse_each_is_evaluated() -> None:
    search = AskTell(BitString(1), begin_method(), budget=Budget(evaluations=6), seed=0, reuse=False)
    asked = [search.ask() for _ in range(6)]
    assert all(one is not None for one in asked)
    for one in asked:
        assert one is not None
        search.tell(one.number, ones(one.architecture))
    assert not any(one.reused for one in search.evaluations)


def begin_method() -> Any:
    from raysweep.nas.methods.random_search import RandomSearch

    return RandomSearch()


def test_an_exhausted_space_ends_a_search_before_its_budget() -> None:
    search = begin("random", Budget(hours=1.0), space=BitString(2))
    while (proposal := search.ask()) is not None:
        search.tell(proposal.number, ones(proposal.architecture))
    assert len({one.architecture for one in search.evaluations}) == 4
    assert len(search.evaluations) <= REPEATS + 100


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"method": "evolutoin"}, "evolutoin.*evolution"),
        ({"method": "evolution", "popluation": 3}, "popluation.*population"),
        ({"method": "evolution", "population": 0}, "population.* 0 .*15"),
        ({"method": "evolution", "replacement": False, "sample": 99}, "99.*30"),
        ({"method": "evolution", "age": "size"}, "'size'"),
        ({"method": "reinforce", "controller": "enas"}, "'enas'.*enas_code"),
        ({"method": "successive_halving", "eta": 1}, "eta.*1"),
        ({"method": "successive_halving", "lowest": 0.0}, "0.0.*27.0"),
        ({"method": "successive_halving", "inner": "successive_halving"}, "successive_halving"),
        ({"method": "local_search", "space": object()}, "local_search.*neighbours"),
        ({"method": "random", "seed": -1}, "seed.*-1"),
        ({"method": "random", "budget": 0}, "0 evaluations"),
    ],
)
def test_invalid_options_are_errors(options: dict[str, Any], pattern: str) -> None:
    with pytest.raises(RaysweepError, match=pattern):
        begin(**options)


def test_invalid_values_are_errors() -> None:
    with pytest.raises(RaysweepError, match="cost_s.*-1"):
        Evaluation(0.5, -1.0)
    with pytest.raises(RaysweepError, match="'lost'"):
        Evaluation(0.5, 1.0, "lost")
    with pytest.raises(RaysweepError, match="budget"):
        Budget()
    assert BITS.name == "bits-8"
