"""Searches with shared weights, on weights that are made up: what is trained and scored when, and after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import Evaluation, search
from raysweep.nas.history import History
from raysweep.nas.methods.supernet_methods import ALL, Enas, RandomWeightSharing, SupernetMethod
from tests.nas.bits_space import BitString

BITS = BitString(8)
UPDATES = 5
"""Of an epoch."""


class KilledError(Exception):
    """The process is gone."""


class MadeUpWeights:
    """Score the share of ones, better with each epoch; kept in a file, as an epoch's checkpoint is."""

    def __init__(self, path: Path, num_epochs: int, calls: int = 10**9, diverges: int = 10**9) -> None:
        self.path, self.num_epochs, self.calls, self.diverges = path, num_epochs, calls, diverges
        self.seconds: list[float] = json.loads(path.read_text()) if path.exists() else []
        self.drawn: list[str] = []
        self.events: list[Any] = []

    @property
    def diverged(self) -> bool:
        return len(self.seconds) >= self.diverges

    def train(self, sample: Callable[[int], str]) -> None:
        epoch = len(self.seconds)
        self.drawn += [sample(update) for update in range(epoch * UPDATES, (epoch + 1) * UPDATES)]
        self._count()
        self.seconds = [*self.seconds, 100.0 + epoch]
        self.path.write_text(json.dumps(self.seconds))
        self.events.append("epoch")

    def __call__(self, bits: str, fidelity: float | None = None) -> Evaluation:
        self._count()
        self.events.append(fidelity)
        if self.diverged:
            return Evaluation(0.0, status="diverged", epochs=0.0)
        noise = 0.0 if fidelity == ALL else (int(bits, 2) * 37 % 11) / 50
        return Evaluation(bits.count("1") / 8 * len(self.seconds) / self.num_epochs + noise, 1.0, epochs=0.0)

    def _count(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise KilledError


def run(folder: Path, method: SupernetMethod, seed: int = 3, **options: Any) -> tuple[History[str], MadeUpWeights]:
    folder.mkdir(exist_ok=True)
    shared = MadeUpWeights(folder / "weights", method.epochs, **options)
    log = folder / "log"
    return search(BITS, shared, method=method, budget=method.evaluations, seed=seed, log=log), shared


RANDOM = RandomWeightSharing(epochs=3, sampled=6, batches=2, rescored=3)
ENAS = Enas(epochs=3, rewards=3, sampled=6, batches=2, rescored=3, controller="tabular", lr=0.2)


def test_random_weight_sharing_trains_samples_and_rescores_the_best(tmp_path: Path) -> None:
    history, shared = run(tmp_path, RANDOM)
    assert shared.events == ["epoch"] * 3 + [2.0] * 6 + [ALL] * 3
    sampled, again = history.evaluations[:6], history.evaluations[6:]
    values = {one.key: one.value for one in sampled}
    assert [one.key for one in again] == sorted(values, key=lambda key: -values[key])[:3]
    assert history.best.value == max(one.value for one in again)
    assert history.best.fidelity == ALL
    assert len(set(shared.drawn)) > 10


def test_enas_rewards_after_every_epoch(tmp_path: Path) -> None:
    history, shared = run(tmp_path, ENAS)
    assert shared.events == ["epoch", *[1.0] * 3] * 3 + [2.0] * 6 + [ALL] * 3
    assert len(history.evaluations) == ENAS.evaluations


@pytest.mark.parametrize("method", [RANDOM, ENAS])
def test_every_epoch_is_charged_once(tmp_path: Path, method: SupernetMethod) -> None:
    history, _ = run(tmp_path, method)
    assert history.spent.epochs == 3
    assert history.spent.cost_s == 100 + 101 + 102 + len(history.evaluations)


@pytest.mark.parametrize("method", [RANDOM, ENAS])
def test_a_killed_supernet_search_resumes_identically(tmp_path: Path, method: SupernetMethod) -> None:
    whole, shared = run(tmp_path / "whole", method)
    drawn: dict[int, list[str]] = {}
    for calls in range(0, len(shared.events), 2):
        folder = tmp_path / f"killed{calls}"
        with pytest.raises(KilledError):
            run(folder, method, calls=calls)
        resumed, later = run(folder, method)
        assert resumed == whole
        drawn[calls] = later.drawn
    assert all(shared.drawn[len(shared.drawn) - len(rest) :] == rest for rest in drawn.values())
    assert len(drawn[0]) == len(shared.drawn)


def test_a_controller_moves_to_what_is_rewarded(tmp_path: Path) -> None:
    method = Enas(epochs=10, rewards=40, controller="tabular", lr=0.1)
    _, shared = run(tmp_path, method)
    assert ones(shared.drawn[-10:]) > ones(shared.drawn[:UPDATES]) + 0.2
    _, uniform = run(tmp_path / "uniform", RandomWeightSharing(epochs=10, sampled=2, rescored=1))
    assert abs(ones(uniform.drawn) - 0.5) < 0.1


def ones(strings: list[str]) -> float:
    return sum(bits.count("1") for bits in strings) / (8 * len(strings))


class Planted(MadeUpWeights):
    """Reward ones, as they are."""

    def __call__(self, bits: str, fidelity: float | None = None) -> Evaluation:
        return Evaluation(ones([bits]), 1.0, epochs=0.0)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_the_controller_of_the_enas_code_moves_as_far_as_its_bounds_let_it(tmp_path: Path) -> None:
    """Logits of two operations are within 0.44: at most 0.71 of what it draws can be ones."""
    shared = Planted(tmp_path / "weights", 10)
    method = Enas(epochs=10, rewards=70, rescored=1)
    history = search(BITS, shared, method=method, budget=method.evaluations, seed=0)
    written = [one.architecture for one in history.evaluations[:700]]
    assert ones(written[:60]) < 0.58
    assert 0.62 < ones(written[-150:]) < 0.73


@pytest.mark.parametrize("method", [RANDOM, ENAS])
def test_weights_that_diverge_end_the_search(tmp_path: Path, method: SupernetMethod) -> None:
    history, _ = run(tmp_path, method, diverges=2)
    assert history.evaluations[-1].status == "diverged"
    assert [one.status for one in history.evaluations].count("diverged") == 1
    assert history.spent.epochs == 2
    again, shared = run(tmp_path, method, diverges=2)
    assert again == history
    assert shared.events == []


def test_weights_of_another_run_are_an_error(tmp_path: Path) -> None:
    run(tmp_path, ENAS)
    (tmp_path / "weights").write_text("[1.0, 1.0]")
    (tmp_path / "log").unlink()
    with pytest.raises(RaysweepError, match="2 epochs.* 0 of 1"):
        run(tmp_path, ENAS)
    longer = tmp_path / "longer"
    with pytest.raises(KilledError):
        run(longer, ENAS, calls=6)
    (longer / "weights").unlink()
    with pytest.raises(RaysweepError, match="0 epochs.* 2 of 2"):
        run(longer, ENAS)


def test_invalid_supernets_and_options_are_errors(tmp_path: Path) -> None:
    def evaluate(bits: str) -> Evaluation:
        return Evaluation(0.0)

    with pytest.raises(RaysweepError, match="RandomWeightSharing .*`train`"):
        search(BITS, evaluate, method="random_weight_sharing", budget=3, seed=0)
    weights = MadeUpWeights(tmp_path / "weights", 5)
    with pytest.raises(RaysweepError, match=r"(?s)5 epochs.* 4 "):
        search(BITS, weights, method="enas", budget=3, seed=0, epochs=4)
    with pytest.raises(RaysweepError, match="workers.*2"):
        search(BITS, weights, method="enas", budget=3, seed=0, epochs=5, workers=2)
    with pytest.raises(RaysweepError, match="rewards.*-1"):
        Enas(rewards=-1)
