"""Sweeps on a real Ray cluster, undisturbed and with processes killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.orchestrate.cluster import connect
from raysweep.orchestrate.events import Event, Outcome
from raysweep.orchestrate.ray_sweep import pool_actor, run_on_ray
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import (
    Listener,
    make_row,
    make_tasks,
    train_anything,
    train_nothing,
    train_ranked,
    train_with_checkpoint,
)
from tests.orchestrate.processes import find_processes, kill

pytestmark = RAYS_OWN_WARNINGS


def test_every_trial_ends_once_whatever_happens_to_some(cluster: str, listener: Listener, tmp_path: Path) -> None:
    good = tuple(f"t{number:02}" for number in range(10))
    names = ("bad", *good[:5], "fragile", "deadly", *good[5:], "diverged")
    outcome = run_on_ray(
        make_tasks(tmp_path, *names),
        listener.on_event,
        address=cluster,
        workers=1,
        train=train_anything,
        record_end=listener.record_end,
    )
    assert outcome == Outcome((*good[:5], "fragile", *good[5:]), diverged=("diverged",), failed=("bad", "deadly"))
    for name in good:
        assert listener.kinds(name) == ["started", "epoch", "epoch", "epoch", "finished"]
        assert listener.epochs(name) == [1, 2, 3]
    check_failures(listener)
    assert (tmp_path / "fragile").read_text().split() == ["1", "2", "3", "4", "5"], "no epoch trained twice"
    processes = {row["pid"] for name in names for row in listener.rows(name)}
    assert len(processes) == 3, "a new process after each of three kills, and only then"


@pytest.mark.long
def test_trials_side_by_side_share_images(cluster: str, listener: Listener, tmp_path: Path) -> None:
    run_on_ray(make_tasks(tmp_path, "a", "b"), listener.on_event, address=cluster, train=train_nothing)
    assert [row["share_images"] for name in ("a", "b") for row in listener.rows(name)] == [True] * 6


def check_failures(listener: Listener) -> None:
    assert listener.kinds("bad") == ["started", "epoch", "retried", "failed"]
    assert "ValueError: bad cannot go on" in str(listener.recorded["bad"][1])
    assert listener.epochs("fragile") == [1, 2, 3, 4, 5]
    assert [row["attempt"] for row in listener.rows("fragile")] == [1, 2, 2, 2, 2]
    assert listener.kinds("deadly") == ["started", "epoch", "retried", "failed"]
    assert listener.recorded.keys() == {"bad", "deadly"}


@pytest.mark.long
@pytest.mark.parametrize("victim", ["ray::ImplicitFunc", "ray::GangController"])
def test_killed_helpers_of_tune_and_train_lose_nothing(
    cluster: str, listener: Listener, tmp_path: Path, victim: str
) -> None:
    def kill_once(event: Event) -> None:
        listener.on_event(event)
        if [event.kind for event in listener.events].count("epoch") == 2 and event.kind == "epoch":
            kill(*find_processes(victim))

    names = ("a", "b", "c", "d")
    outcome = run_on_ray(
        make_tasks(tmp_path, *names),
        kill_once,
        address=cluster,
        workers=1,
        train=train_with_checkpoint,
        record_end=listener.record_end,
    )
    assert outcome.finished == names
    for name in names:
        reported, trained = listener.epochs(name), (tmp_path / name).read_text().split()
        assert trained == ["1", "2", "3", "4", "5"], "no epoch is lost or trained again"
        # An epoch that ends in the moment of the kill is only in the store.
        assert reported == sorted(set(reported))
        assert (reported[0], reported[-1]) == (1, 5)
        assert len(reported) >= 4


@pytest.mark.long
def test_asha_stops_the_worse_trials(cluster: str, listener: Listener, tmp_path: Path) -> None:
    from ray.tune.schedulers import ASHAScheduler

    names = tuple(f"t{number}" for number in range(4, 0, -1))
    outcome = run_on_ray(
        make_tasks(tmp_path, *names),
        listener.on_event,
        address=cluster,
        workers=1,
        train=train_ranked,
        record_end=listener.record_end,
        scheduler=ASHAScheduler(
            time_attr="epoch", metric="top1", mode="max", max_t=10, grace_period=2, reduction_factor=2
        ),
    )
    assert outcome == Outcome(finished=("t4",), stopped=("t3", "t2", "t1"))
    assert listener.epochs("t4") == list(range(1, 11))
    assert listener.recorded == dict.fromkeys(outcome.stopped, ("stopped", "after epoch 2, by Ray Tune"))
    for name in outcome.stopped:
        assert listener.epochs(name) == [1, 2], "stopped at the first rung, not an epoch later"
        assert listener.kinds(name)[-1] == "stopped"


@pytest.mark.long
def test_two_workers_train_one_trial_together(cluster: str, listener: Listener, tmp_path: Path) -> None:
    outcome = run_on_ray(
        make_tasks(tmp_path, "a", "bad", "b"),
        listener.on_event,
        address=cluster,
        workers_per_trial=2,
        train=train_nothing,
        record_end=listener.record_end,
    )
    assert outcome == Outcome(finished=("a", "b"), failed=("bad",))
    assert listener.epochs("b") == [1, 2, 3]


def test_what_the_cluster_does_not_have_is_refused_before_anything_starts(
    cluster: str, listener: Listener, tmp_path: Path
) -> None:
    with pytest.raises(RaysweepError, match=r"2 GPUs.* has 0 GPUs and 2 CPUs"):
        run_on_ray(make_tasks(tmp_path, "a"), listener.on_event, address=cluster, gpus_per_worker=2.0)
    assert not listener.events


@pytest.mark.long
def test_a_worker_that_cannot_start_ends_the_sweep(cluster: str, listener: Listener, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match=r"1 of 1 trials .*ImportError: this train function cannot be loaded"):
        run_on_ray(make_tasks(tmp_path, "a"), listener.on_event, address=cluster, train=_Unloadable())


@pytest.mark.long
def test_more_trials_at_once_than_an_actor_has_slots_by_default(cluster: str, tmp_path: Path) -> None:
    """Each running trial has two calls that wait in the pool; the one that reports its epoch must still get through."""
    import ray

    names = [f"t{number}" for number in range(1200)]
    with connect(cluster, {}, None):
        pool = pool_actor().remote(make_tasks(tmp_path, *names), names)
        ray.get([pool.submit.remote(name) for name in names])
        offers = ray.get([pool.take.remote(name) for name in names])
        lent = {offer.task.trial: gang for gang, offer in zip(names, offers, strict=True)}
        assert sorted(lent) == sorted(names)
        shown = [pool.show.remote(lent[name], name, 1) for name in names]
        fetched = [pool.fetch.remote(name, 0) for name in names]
        reports = [pool.report.remote(lent[name], name, 1, make_row(name, 1, 1)) for name in names]
        assert all(ray.get(reports, timeout=120))
        assert [len(rows) for rows, _ in ray.get(fetched, timeout=120)] == [1] * len(names)
        ray.get([pool.release.remote(lent[name], name, 1) for name in names], timeout=120)
        ray.get(shown, timeout=120)
        ray.kill(pool)


class _Unloadable:
    """Breaks where it is unpickled, as a package that a node lacks would."""

    def __call__(self, *place: Any) -> Any:
        raise AssertionError

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise ImportError("this train function cannot be loaded")


def test_no_tasks_need_no_ray(listener: Listener) -> None:
    assert run_on_ray([], listener.on_event) == Outcome()
