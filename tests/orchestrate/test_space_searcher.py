"""Searchers as Tune sees them; the pool is played here, and Ray itself at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from raysweep.identity import trial_id
from raysweep.orchestrate import space_searcher as searchers_module
from raysweep.orchestrate.events import Outcome
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.orchestrate.schedulers import make_scheduler
from raysweep.orchestrate.space_searcher import FixedSearch, Result, SpacePoints, optuna_search
from raysweep.proposals import Proposals, SpaceOptions, random_point
from raysweep.recipe import Recipe
from raysweep.space import Choice, LogUniform, Parameter, Space
from raysweep.train.task import Placement, TrialTask
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_row

pytestmark = RAYS_OWN_WARNINGS
NORM = Parameter("norm", Choice({"none": {}, "batch": {"network.norm": "batch"}}), "norm")
PLACE = Parameter(
    "network.norm_position",
    Choice({"after": {}, "before": {"network.norm_position": "before"}}),
    "where",
    when={"norm": ("batch",)},
)
RATE = Parameter("solver.lr", LogUniform(0.1, 10.0), "rate")
RATES = Space("rates", "Which?", "p", "f", (NORM, PLACE, RATE))
TINY = Space("tiny", "Which?", "p", "f", (NORM,))
NUM_EPOCHS = 4


def make_search(space: Space, folder: Path, **options: Any) -> SpacePoints:
    return SpacePoints(
        SpaceOptions(**options),
        Proposals(space, Recipe()),
        lambda point: TrialTask(point.trial, point.recipe, data="", store=str(folder)),
    )


class Played:
    """Stands for the pool: its methods are called as Ray's are."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.ends: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self.add = SimpleNamespace(remote=lambda task: self.tasks.append(task.trial))
        self.result = SimpleNamespace(remote=lambda trial: self.ends[trial])


class Recorder(Searcher):  # type: ignore[misc]
    """Proposes given points and keeps what it is told."""

    def __init__(self, *points: dict[str, Any]) -> None:
        super().__init__()
        self.points = list(points)
        self.told: list[tuple[Any, ...]] = []
        self.names: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self.names[trial_id] = len(self.names)
        return self.points[self.names[trial_id]]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told.append((self.names[trial_id], result["training_iteration"], result["top1"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append((self.names[trial_id], "error" if error else "end", result and result["top1"]))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(searchers_module, "ray", SimpleNamespace(get=lambda value: value))
    return Played()


def trial_search(search: SpacePoints, pool: Played, inner: Searcher) -> Searcher:
    return searchers_module.TrialSearch(search, inner, pool, Event())


def test_ends_are_reported_in_the_searchers_terms(pool: Played, tmp_path: Path) -> None:
    inner = Recorder(*({"norm": "none", "solver.lr": rate} for rate in (1.0, 2.0, 3.0, 4.0)))
    search = make_search(RATES, tmp_path, trials=4)
    tune = trial_search(search, pool, inner)
    for name in "abcd":
        assert tune.suggest(name) == {"trial": pool.tasks[-1]}
    assert tune.suggest("e") == Searcher.FINISHED
    rows = [make_row("", 1, top1=0.2), make_row("", 2, top1=0.4)]
    for trial, end in zip(pool.tasks, ("finished", "diverged", "failed", ""), strict=True):
        pool.ends[trial] = (end, [*rows, make_row("", 3, top1=None, status=end)] if end == "diverged" else rows)
    tune.on_trial_result("a", {"top1": 0.2, "epoch": 7, "training_iteration": 1})
    for name in "abcd":
        tune.on_trial_complete(name, {"top1": 0.4})
    assert inner.told == [(0, 7, 0.2), (0, "end", 0.4), (1, "end", 0.0), (2, "error", None), (3, "end", None)]
    assert [search.ended[trial].end for trial in pool.tasks] == ["finished", "diverged", "failed", "stopped"]
    assert search.ended[pool.tasks[1]].curve == ((1, 0.2), (2, 0.4), (3, 0.0))


def test_a_point_proposed_twice_is_trained_once(pool: Played, tmp_path: Path) -> None:
    point, other, third = ({"norm": "none", "solver.lr": rate} for rate in (1.0, 2.0, 3.0))
    inner = Recorder(point, point, other, point, third)
    tune = trial_search(make_search(RATES, tmp_path, trials=3), pool, inner)
    tune.suggest("a")
    tune.suggest("b")
    assert len(pool.tasks) == len(set(pool.tasks)) == 2
    assert not inner.told, "the point that is being trained has no result yet"
    pool.ends[pool.tasks[0]] = ("finished", [make_row("", 1, 1, top1=0.3)])
    tune.on_trial_complete("a", {"top1": 0.3})
    assert inner.told == [(0, "end", 0.3), (1, 1, 0.3), (1, "end", 0.3)]
    tune.suggest("c")
    assert inner.told[3:] == [(3, 1, 0.3), (3, "end", 0.3)]
    assert len(pool.tasks) == len(set(pool.tasks)) == 3


def test_a_point_that_another_searcher_had_trained_is_not_trained_again(pool: Played, tmp_path: Path) -> None:
    known, fresh = ({"norm": "none", "solver.lr": rate} for rate in (1.0, 2.0))
    search = make_search(RATES, tmp_path, searcher="optuna", trials=2)
    other, _ = Proposals(RATES, search.proposals.baseline).propose(known)
    search.proposals.others[other.trial] = other
    search.ended[other.trial] = Result("finished", 0.3, ((1, 0.3),))
    inner = Recorder(known, fresh)
    assert trial_search(search, pool, inner).suggest("a") == {"trial": pool.tasks[0]}
    assert inner.told == [(0, 1, 0.3), (0, "end", 0.3)]
    assert other.trial not in pool.tasks
    assert search.proposals.points[other.trial] == other, "it counts"


def test_a_space_without_further_points_ends_the_search(pool: Played, tmp_path: Path) -> None:
    search = make_search(TINY, tmp_path, trials=9)
    tune = search.make_searcher(pool, Event())
    answers = [tune.suggest(name) for name in "abc"]
    assert answers[2] == Searcher.FINISHED
    assert len(pool.tasks) == 2


def test_nothing_is_proposed_once_the_sweep_is_stopping(pool: Played, tmp_path: Path) -> None:
    stopping = Event()
    tune = make_search(RATES, tmp_path).make_searcher(pool, stopping)
    tune.suggest("a")
    stopping.set()
    assert tune.suggest("b") == Searcher.FINISHED
    tune.on_trial_complete("a")
    assert len(pool.tasks) == 1


def end_all(search: SpacePoints, pool: Played, tune: Searcher, names: str) -> None:
    """Trains with a top-1 that is best at a rate of 3 times the baseline's."""
    for name in names:
        answer = tune.suggest(name)
        if answer == Searcher.FINISHED:
            return
        rate = float(str(search.proposals.points[answer["trial"]].assignment["solver.lr"]))
        pool.ends[answer["trial"]] = ("finished", [make_row("", 1, 1, top1=1 / (1 + abs(rate - 3)))])
        tune.on_trial_complete(name, {})


@pytest.mark.parametrize("searcher", ["random", "optuna"])
def test_the_same_seed_gives_the_same_trials(pool: Played, tmp_path: Path, searcher: str) -> None:
    tried: list[list[str]] = []
    for seed in (0, 0, 1):
        search = make_search(RATES, tmp_path, searcher=searcher, trials=14, seed=seed)
        end_all(search, pool, search.make_searcher(pool, Event()), "abcdefghijklmnop")
        tried.append(list(search.proposals.points))
    assert len(tried[0]) == len(tried[2]) == 14
    assert tried[0] == tried[1]
    assert tried[0][0] == tried[2][0], "the baseline comes first whatever the seed"
    assert set(tried[0][1:]).isdisjoint(tried[2][1:])


@pytest.mark.parametrize("searcher", ["random", "optuna"])
def test_a_search_goes_on_where_it_ended(pool: Played, tmp_path: Path, searcher: str) -> None:
    search = make_search(RATES, tmp_path, searcher=searcher, trials=5)
    tune = search.make_searcher(pool, Event())
    end_all(search, pool, tune, "abc")
    tune.suggest("d")  # and the driver is killed
    assert [point.order for point in search.unfinished()] == [3]
    pool.tasks.clear()
    end_all(search, pool, search.make_searcher(pool, Event()), "abcdef")
    assert len(pool.tasks) == 2
    assert search.proposals.points[pool.tasks[0]].order == 3, "what was begun comes first"
    assert search.is_over()
    assert len(search.ended) == 5
    if searcher == "random":
        tried = [point.assignment for point in search.proposals.points.values()]
        assert tried == [RATES.baseline(), *(random_point(RATES, 0, k) for k in range(4))]


def test_a_larger_budget_continues_a_search_that_is_over(pool: Played, tmp_path: Path) -> None:
    search = make_search(RATES, tmp_path, searcher="optuna", trials=4)
    end_all(search, pool, search.make_searcher(pool, Event()), "abcde")
    assert search.is_over()
    search.options = SpaceOptions("optuna", trials=7)
    assert not search.is_over()
    pool.tasks.clear()
    end_all(search, pool, search.make_searcher(pool, Event()), "abcde")
    assert len(pool.tasks) == 3
    assert len({point.assignment["solver.lr"] for point in search.proposals.points.values()}) == 7


def test_optuna_gets_all_stored_results_before_it_proposes(pool: Played, tmp_path: Path) -> None:
    search = make_search(RATES, tmp_path, searcher="optuna", trials=30)
    points = [{"norm": "none", "solver.lr": rate} for rate in (0.2, 0.5, 1.0, 2.0, 5.0)]
    ends = ("finished", "diverged", "stopped", "finished", "finished")
    for point, end in zip(points, ends, strict=True):
        proposal, _ = search.proposals.propose(point)
        search.ended[proposal.trial] = Result(end, 0.5, ((1, 0.4), (2, 0.5)))
    tune = search.make_searcher(pool, Event())
    tune.suggest("a")
    told = [trial for trial in tune.inner._ot_study.trials if trial.state.is_finished()]
    assert [trial.params["solver.lr"] for trial in told] == [0.2, 0.5, 1.0, 2.0, 5.0]
    assert [trial.state.name for trial in told] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
    assert [trial.value for trial in told] == [0.5, 0.0, 0.5, 0.5, 0.5]
    assert told[2].intermediate_values == {1: 0.4, 2: 0.5}
    assert len(pool.tasks) == 1


def test_optuna_learns_the_better_half(pool: Played, tmp_path: Path) -> None:
    """The share of proposals near the best rate, where a random search has a fifth of them."""
    search = make_search(RATES, tmp_path, searcher="optuna", trials=60)
    end_all(search, pool, search.make_searcher(pool, Event()), "".join(map(chr, range(200, 300))))
    rates = [float(str(point.assignment["solver.lr"])) for point in search.proposals.points.values()]
    assert sum(2 < rate < 4.5 for rate in rates[20:]) > 20
    assert all(RATES.contains(point.assignment) for point in search.proposals.points.values())


def test_searchers_are_of_tune() -> None:
    assert isinstance(FixedSearch(iter([])), Searcher)
    assert type(optuna_search(RATES, 0, [], 0)).__name__ == "OptunaSearch"


def train_by_rate(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Better the nearer the rate is to 3 times the baseline's; the highest rates diverge, the lowest fail."""
    rate = task.recipe.solver.lr / 0.01
    with (Path(task.store) / task.trial).open("a") as file:
        file.write("trained\n")
    if rate < 0.2:
        raise ValueError("too slow")
    for epoch in range(1, NUM_EPOCHS + 1):
        diverged = rate > 7 and epoch == 2
        more = {"status": "diverged"} if diverged else {}
        yield make_row(
            task.trial, epoch, NUM_EPOCHS, top1=None if diverged else epoch / 10 / (1 + abs(rate - 3)), **more
        )
        if diverged:
            return


Sweep = Callable[[SpacePoints], Outcome]


@pytest.fixture
def sweep(cluster: str, listener: Listener) -> Sweep:
    def run(search: SpacePoints) -> Outcome:
        return run_on_ray(
            (),
            listener.on_event,
            address=cluster,
            workers=1,
            train=train_by_rate,
            record_end=listener.record_end,
            scheduler=make_scheduler(search.options, NUM_EPOCHS, (), trial_id(search.proposals.baseline)),
            search=search,
        )

    return run


def test_a_random_search_with_asha_on_ray(sweep: Sweep, listener: Listener, tmp_path: Path) -> None:
    search = make_search(RATES, tmp_path, scheduler="asha", trials=12, reduction_factor=2.0)
    outcome = sweep(search)
    expected = [RATES.baseline(), *(random_point(RATES, 0, k) for k in range(11))]
    assert [point.assignment for point in search.proposals.points.values()] == expected
    ends = (*outcome.finished, *outcome.diverged, *outcome.failed, *outcome.stopped)
    assert sorted(ends) == sorted(search.proposals.points)
    assert trial_id(search.proposals.baseline) in outcome.finished
    assert outcome.stopped
    for trial, result in search.ended.items():
        rate = float(str(search.proposals.points[trial].assignment["solver.lr"]))
        if rate < 0.2:
            assert (result.end, result.top1) == ("failed", None)
        if rate > 7:
            assert result.end in ("diverged", "stopped")
    why = {trial: why or "" for trial, (end, why) in listener.recorded.items() if end == "stopped"}
    assert why.keys() == set(outcome.stopped)
    reason = r"asha: epoch \d, rung \d: top-1 0\.\d{4} is below 0\.\d{4}.* 1 in 2"
    assert all(re.fullmatch(reason, words) for words in why.values())
    assert sweep(search) == Outcome(), "nothing is left to train"
    assert all(len(file.read_text().split()) == 1 + (file.name in outcome.failed) for file in tmp_path.iterdir())


@pytest.mark.long
def test_an_optuna_search_on_ray_is_continued(sweep: Sweep, tmp_path: Path) -> None:
    search = make_search(RATES, tmp_path, searcher="optuna", trials=6)
    before = sweep(search)
    assert len(before.finished) + len(before.diverged) + len(before.failed) == 6
    search.options = SpaceOptions("optuna", trials=16)
    after = sweep(search)
    trained = (*after.finished, *after.diverged, *after.failed)
    assert len(trained) == 10
    assert set(trained).isdisjoint((*before.finished, *before.diverged, *before.failed))
    assert list(search.proposals.points)[6:] == [trial for trial in search.proposals.points if trial in trained]
    assert len(list(tmp_path.iterdir())) == 16


def test_a_searcher_that_breaks_ends_the_sweep_with_its_reason(sweep: Sweep, tmp_path: Path) -> None:
    from raysweep.errors import RaysweepError

    search = make_search(RATES, tmp_path, trials=4)

    def refuse(point: Any) -> None:
        raise OSError("no space left on device")

    search.proposals.note = refuse
    with pytest.raises(RaysweepError, match=r"ended early .*no space left on device"):
        sweep(search)
