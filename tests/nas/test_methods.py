"""What each method does, one proposal after another."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import Evaluation, cell_space, search
from raysweep.nas.controllers import CONTROLLERS
from raysweep.nas.evaluation import FAILED, Evaluated
from raysweep.nas.method import make_method, method_text, methods
from raysweep.nas.methods.evolution import Evolution, EvolutionProposer
from raysweep.nas.methods.reinforce import make_policy
from raysweep.nas.space import Decision, randomness
from raysweep.nas.tabular_policy import TabularPolicy
from tests.nas.bits_space import BitString
from tests.nas.searches import BITS, ones


def ended(number: int, value: float, status: Any = "finished") -> Evaluated[str]:
    bits = f"{number:08b}"
    return Evaluated(number, bits, bits, None, value, 1.0, status)


def members(proposer: EvolutionProposer[str]) -> set[int]:
    return {one[2].number for one in proposer.population}


def evolved(options: Evolution) -> EvolutionProposer[str]:
    """A population after 0.5, 0.1, 0.9, 0.3, 0.7 have ended in the order 1, 0, 2, 4, 3."""
    proposer = options.begin(BITS)
    for number, value in ((1, 0.1), (0, 0.5), (2, 0.9), (4, 0.7), (3, 0.3)):
        proposer.observe(ended(number, value))
    return proposer


def test_which_individual_leaves_the_population() -> None:
    assert members(evolved(Evolution(3, 2))) == {2, 4, 3}
    assert members(evolved(Evolution(2, 2, age="proposal"))) == {4, 3}
    assert members(evolved(Evolution(3, 2, aging=False))) == {0, 2, 4}


def test_failed_evaluations_join_the_population_but_lost_ones_do_not() -> None:
    proposer = Evolution(3, 2).begin(BITS)
    proposer.observe(ended(0, FAILED, "diverged"))
    proposer.observe(ended(1, FAILED, "out_of_memory"))
    proposer.observe(ended(2, FAILED, "lost"))
    assert members(proposer) == {0, 1}


def test_the_parent_is_the_best_of_a_sample() -> None:
    """A sample of 2 without replacement from 3: the best wins 2 of 3 tournaments, the middle one 1, the worst none."""
    proposer = evolved(Evolution(3, 2, replacement=False))
    parents = Counter(proposer._parent(randomness(0, k)).number for k in range(600))
    assert parents.keys() == {2, 4}
    assert 350 < parents[2] < 450
    whole = evolved(Evolution(3, 3, replacement=False))
    assert {whole._parent(randomness(0, k)).number for k in range(20)} == {2}


@pytest.mark.parametrize("method", ["evolution", "local_search", "random_dedup"])
def test_nothing_is_proposed_twice_while_there_is_something_new(method: str) -> None:
    history = search(BitString(20), ones, method=method, budget=120, seed=1)
    assert len({one.architecture for one in history.evaluations}) == 120


@pytest.mark.parametrize("method", ["local_search", "random_dedup"])
def test_a_space_is_searched_to_its_end(method: str) -> None:
    history = search(BitString(5), ones, method=method, budget=1000, seed=0)
    assert sorted(one.architecture for one in history.evaluations) == [f"{at:05b}" for at in range(32)]


def test_evolution_whose_population_is_the_budget_is_random_search() -> None:
    random = search(BITS, ones, method="random", budget=50, seed=5)
    evolution = search(BITS, ones, method="evolution", budget=50, seed=5, population=50)
    assert evolution.evaluations == random.evaluations


def test_a_climb_moves_to_better_neighbours_and_restarts_at_a_summit() -> None:
    history = search(BITS, ones, method="local_search", budget=200, seed=3)
    strings = [one.architecture for one in history.evaluations]
    summit = strings.index("1" * 8)
    climbed = ["1" * 8]
    for at in range(summit, -1, -1):
        if _distance(strings[at], climbed[-1]) == 1 and strings[at].count("1") < climbed[-1].count("1"):
            climbed.append(strings[at])
    assert climbed[-1] == strings[0]
    around = strings[summit + 1 : summit + 9]
    assert any(_distance(one, "1" * 8) == 1 for one in around)
    assert any(_distance(one, "1" * 8) > 2 for one in strings[summit + 1 :])


def _distance(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_halving_promotes_the_best_third_of_each_rung(tmp_path: Path) -> None:
    calls: list[tuple[str, float]] = []

    def evaluate(bits: str, fidelity: float | None = None) -> Evaluation:
        assert fidelity is not None
        calls.append((bits, fidelity))
        return Evaluation(ones(bits).value - 0.1 / fidelity, fidelity)

    options: dict[str, Any] = {"method": "successive_halving", "inner": "random_dedup", "lowest": 2.0, "highest": 20.0}
    history = search(BITS, evaluate, budget=90, seed=0, log=tmp_path / "log", **options)
    rungs = Counter(fidelity for _, fidelity in calls)
    assert list(rungs) == [2.0, 6.0, 18.0, 20.0]
    for low, high in ((2.0, 6.0), (6.0, 18.0), (18.0, 20.0)):
        assert rungs[high] <= rungs[low] / 3
    assert rungs[6.0] >= rungs[2.0] // 3 - 1
    promoted = [ones(bits).value for bits, fidelity in calls if fidelity == 6.0]
    assert np.mean(promoted) > np.mean([ones(bits).value for bits, fidelity in calls if fidelity == 2.0])
    assert history.best.fidelity == 20.0
    assert history.spent.epochs == sum(fidelity for _, fidelity in calls)
    assert history.best_values()[-1] == history.best.value
    before = len(calls)
    longer = search(BITS, evaluate, budget=100, seed=0, log=tmp_path / "log", **options)
    assert longer.evaluations[:90] == history.evaluations
    assert len(calls) == before + 10


def test_a_failed_training_is_not_promoted() -> None:
    def evaluate(bits: str, fidelity: float | None = None) -> Evaluation:
        return Evaluation(float("nan"), 1.0)

    history = search(BITS, evaluate, method="successive_halving", budget=30, seed=0)
    assert {one.fidelity for one in history.evaluations} == {1.0}
    with pytest.raises(RaysweepError, match="30 evaluations"):
        _ = history.best


def last(history: Any, number: int) -> float:
    return float(np.mean([one.value for one in history.evaluations[-number:]]))


def test_the_tabular_controller_solves_the_bits() -> None:
    for seed in range(3):
        history = search(BitString(20), ones, method="reinforce", budget=800, seed=seed, lr=0.1)
        assert history.best.value == 1.0
        assert last(history, 100) > 0.95


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_the_controller_of_the_enas_paper_solves_the_bits() -> None:
    history = search(
        BitString(12), ones, method="reinforce", budget=500, seed=0, controller="enas_paper", lr=0.0035, entropy=1e-4
    )
    assert history.best.value == 1.0
    assert last(history, 100) > 0.95


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_the_controller_of_the_enas_code_goes_as_far_as_its_bounds_let_it() -> None:
    """Logits of two operations are within 0.44: no more than 1 / (1 + exp(-0.88)) of them can be the better one."""
    history = search(BitString(12), ones, method="reinforce", budget=700, seed=0, controller="enas_code")
    assert 0.64 < last(history, 200) < 1 / (1 + np.exp(-0.88)) + 0.02


def codes(controller: str, space: Any, number: int) -> list[list[int]]:
    policy = make_policy(CONTROLLERS[controller], space.decisions, randomness(0, 0))
    return [policy.sample(randomness(0, k)) for k in range(1, number)]


@pytest.mark.usefixtures("one_thread")
def test_the_enas_controller_writes_cells_and_starts_with_separable_convolutions() -> None:
    space = cell_space("enas")
    cells = [space.decode(code) for code in codes("enas_code", space, 40)]

    def separable(part: str) -> float:
        steps = [step for cell in cells for node in getattr(cell, part).nodes for step in node]
        return float(np.mean([operation.startswith("sep") for operation, _ in steps]))

    uniform = 2 / 5
    assert separable("normal") > separable("reduction") > uniform
    assert len({space.key(cell) for cell in cells}) == len(cells)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_controller_that_learns_one_code_writes_it() -> None:
    space = cell_space("enas")
    policy = make_policy(replace(CONTROLLERS["enas_paper"], lr=0.01, entropy=0.0), space.decisions, randomness(0, 0))
    wanted = policy.sample(randomness(0, 1))
    before = np.mean([_same(policy.sample(randomness(1, k)), wanted) for k in range(10)])
    for _ in range(60):
        policy.learn(wanted, 1.0, update=True)
    after = np.mean([_same(policy.sample(randomness(1, k)), wanted) for k in range(10)])
    assert after > before + 0.1


def _same(one: list[int], other: list[int]) -> float:
    return float(np.mean([a == b for a, b in zip(one, other, strict=True)]))


def test_the_tabular_gradient_is_that_of_the_log_probability_and_entropy() -> None:
    """Against differences of the objective itself."""
    decisions = [Decision("a", ("x", "y", "z")), Decision("b", ("x", "y"))]
    options = CONTROLLERS["tabular"]
    policy = TabularPolicy(replace(options, entropy=0.3), decisions)
    rng = np.random.default_rng(0)
    policy.logits = np.where(policy.there, rng.normal(size=policy.logits.shape), -np.inf)
    start = policy.logits.copy()

    def objective(logits: Any) -> float:
        total = 0.0
        for row, taken in zip(logits, (2, 0), strict=True):
            share = np.exp(row[np.isfinite(row)])
            share /= share.sum()
            total += 1.7 * np.log(share[taken]) - 0.3 * (share * np.log(share)).sum()
        return total

    policy.learn([2, 0], 1.7, update=False)
    for at in np.argwhere(policy.there):
        step = np.zeros_like(start)
        step[tuple(at)] = 1e-6
        slope = (objective(start + step) - objective(start - step)) / 2e-6
        assert policy.gradient[tuple(at)] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_controller_redraws_invalid_codes() -> None:
    space = cell_space("darts")
    history = search(space, lambda cell: Evaluation(0.5), method="reinforce", budget=5, seed=0)
    assert len(history.evaluations) == 5


def test_every_method_is_named_and_cited() -> None:
    assert {entry.name for entry in methods()} == {
        *("random", "random_dedup", "evolution", "local_search", "reinforce", "successive_halving"),
        *("random_weight_sharing", "enas"),
    }
    assert all(entry.summary and "arXiv" in entry.paper for entry in methods())


def test_looking_up_a_method_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from raysweep.nas.method import make_method; make_method('evolution')\n"
        "assert not {'torch', 'ray', 'pyarrow', 'pandas', 'scipy'} & {*sys.modules}, sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [entry.name for entry in methods()])
def test_the_identity_of_a_method_is_what_it_was_in_stored_logs(name: str) -> None:
    assert method_text(make_method(name)) == repr(make_method(name))


def test_the_identity_of_a_nested_method_is_what_it_was() -> None:
    made = make_method("successive_halving", {"inner": make_method("evolution", {"population": 8}), "eta": 2})
    assert method_text(made) == repr(made)


def test_a_new_option_with_a_neutral_default_leaves_the_identity_of_searches_as_it_is() -> None:
    @dataclass(frozen=True)
    class Longer(Evolution):
        elitism: float = 0.0
        weights: tuple[float, ...] = field(default_factory=tuple)

    Longer.__qualname__ = "Evolution"
    assert method_text(Longer(population=8)) == method_text(Evolution(population=8)) == repr(Evolution(population=8))
    assert method_text(Longer(elitism=0.1)).endswith("distinct=True, elitism=0.1)")


def test_the_identity_of_a_method_from_outside_is_what_differs_from_its_defaults() -> None:
    @dataclass(frozen=True)
    class Own:
        size: int
        rate: float = 0.5

    Own.__qualname__ = "Own"
    assert method_text(Own(3)) == "Own(size=3)"
    assert method_text(Own(3, 0.25)) == "Own(size=3, rate=0.25)"
