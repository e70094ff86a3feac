"""Architecture searches under Tune; the pool is played first, then Ray itself, then a driver that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from raysweep.nas_trials.side_by_side import Searches
from raysweep.orchestrate import nas_searcher
from raysweep.orchestrate.nas_searcher import NasSearch
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.nas.searches import read_log
from tests.nas_trials.trained import METHODS, ask_for, open_all, run_all, told, train, write_end, write_row
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener
from tests.orchestrate.processes import find_descendants, kill

pytestmark = RAYS_OWN_WARNINGS


class Played:
    """Stands for the pool: its methods are called as Ray's are."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.ends: dict[str, tuple[str, str]] = {}
        self.expected: list[int] = []
        self.add = SimpleNamespace(remote=self.tasks.append)
        self.expect = SimpleNamespace(remote=self.expected.append)
        self.end_of = SimpleNamespace(remote=lambda trial: self.ends.get(trial, ("", "")))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(nas_searcher, "ray", SimpleNamespace(get=lambda value: value))
    return Played()


def start(searches: Searches, pool: Played, stopping: Event) -> Searcher:
    return NasSearch(searches).make_searcher(pool, stopping)


def test_proposals_are_suggested_in_order_and_reported_when_they_end(pool: Played, tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "random", budget="3"))
    tune = start(searches, pool, Event())
    assert [tune.suggest(name) for name in "abc"] == [{"trial": task.trial} for task in pool.tasks]
    assert tune.suggest("d") is None, "three are under way: none is left to propose, but one may be lost"
    assert tune.suggest("d") is None
    assert pool.expected == [0], "workers with nothing to do may go"
    for name, at, end in (("b", 1, "finished"), ("c", 2, "failed"), ("a", 0, "")):
        task = pool.tasks[at]
        write_row(task, status="finished", top1=0.5, error=None)
        pool.ends[task.trial] = (end, "raysweep.errors.OutOfMemoryError: none left" if end == "failed" else "")
        tune.on_trial_complete(name)
    rows = told(tmp_path)
    assert [row["number"] for row in rows] == [1, 2, 0]
    assert [row["status"] for row in rows] == ["finished", "out_of_memory", "lost"]
    assert tune.suggest("e") == Searcher.FINISHED
    tune.on_trial_complete("a")
    assert told(tmp_path) == rows, "told once"


def test_a_stopping_sweep_neither_proposes_nor_reports(pool: Played, tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "random", budget="5"))
    stopping = Event()
    tune = start(searches, pool, stopping)
    tune.suggest("a")
    stopping.set()
    assert tune.suggest("b") == Searcher.FINISHED
    tune.on_trial_complete("a")
    assert not told(tmp_path)
    assert [one.number for one in searches.searches[0].asking.in_flight] == [0]


def test_a_search_that_is_over_needs_no_ray(tmp_path: Path) -> None:
    run_all(searches := open_all(ask_for(tmp_path, "random", budget="2")))
    assert NasSearch(searches).is_over()


def test_trials_in_progress_when_the_pool_was_lost_are_suggested_again(pool: Played, tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "random", budget="3"))
    lost = start(searches, pool, Event())
    begun = [lost.suggest(name) for name in "ab"]
    search = NasSearch(searches)
    assert not search.is_over()
    tune = search.make_searcher(pool, Event())
    again = [tune.suggest(name) for name in "abc"]
    assert again[:2] == begun
    assert len({str(suggested) for suggested in again}) == 3
    for name, suggested in zip("abc", again, strict=True):
        task = next(task for task in pool.tasks if {"trial": task.trial} == suggested)
        write_row(task, status="finished", top1=0.5, error=None)
        pool.ends[task.trial] = ("finished", "")
        tune.on_trial_complete(name)
    assert sorted(row["number"] for row in told(tmp_path)) == [0, 1, 2]


def search_on_ray(folder: Path, address: str, workers: int, listener: Listener, **asked: Any) -> Searches:
    searches = open_all(ask_for(folder, *METHODS, **asked))
    run_on_ray(
        (),
        listener.on_event,
        address=address,
        workers=workers,
        train=train,
        record_end=write_end,
        max_attempts=1,
        search=NasSearch(searches),
    )
    searches.close()
    return searches


@pytest.mark.long
def test_one_ray_worker_searches_like_a_loop(cluster: str, listener: Listener, tmp_path: Path) -> None:
    search_on_ray(tmp_path / "ray", cluster, 1, listener, budget="10", roomy=True)
    run_all(open_all(ask_for(tmp_path / "loop", *METHODS, budget="10", roomy=True)))
    assert told(tmp_path / "ray") == told(tmp_path / "loop")
    started = [event.trial for event in listener.events if event.kind == "started"]
    assert len(started) == len(set(started)) < 20


@pytest.mark.long
def test_two_methods_and_two_seeds_share_two_workers(cluster: str, listener: Listener, tmp_path: Path) -> None:
    search_on_ray(tmp_path, cluster, 2, listener, budget="15", seeds=2)
    rows = told(tmp_path)
    assert len(rows) == 4 * 15
    for name in {row["search"] for row in rows}:
        own = [row for row in rows if row["search"] == name]
        assert sorted(row["number"] for row in own) == list(range(15))
        assert [row["clock_s"] for row in own] == sorted(row["clock_s"] for row in own)
    started = [event.trial for event in listener.events if event.kind == "started"]
    assert len(started) == len(set(started))
    assert "out_of_memory" in {row["status"] for row in rows}, "it has had the machine to itself in the end"
    check_logs(tmp_path, budget="15", seeds=2)


def check_logs(folder: Path, **asked: Any) -> None:
    """Each log is replayed: what was proposed follows from it, and it says what the store says."""
    before = told(folder)
    searches = open_all(ask_for(folder, *METHODS, **asked))
    assert searches.next() is None
    assert not any(search.asking.in_flight for search in searches.searches)
    searches.close()
    assert told(folder) == before


@contextmanager
def driver(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.orchestrate.nas_driver", str(folder), *words]
    own = os.environ | {"RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own)
    try:
        yield process
    finally:
        kill(process.pid, *find_descendants(process.pid))
        process.communicate()


def kill_after(folder: Path, num_events: int, *words: str) -> None:
    """kill -9 of a driver, its workers and its Ray once it has told so many ends."""
    with driver(folder, *words) as process:
        assert process.stdout is not None
        ends = 0
        for line in process.stdout:
            ends += line.startswith(("finished", "failed", "diverged"))
            if ends == num_events:
                return
        pytest.fail("the search ended before it was killed")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_driver_resumes_identically(workers: int, tmp_path: Path) -> None:
    words = (str(workers), "10", "2")
    for num_events in (3, 8):
        kill_after(tmp_path / "cut", num_events, *words)
        time.sleep(1)  # the workers' last writes
    asked = [event for log in (tmp_path / "cut" / "searches").glob("*.log") for event in read_log(log)]
    assert any(event.kind == "asked" for event in asked)
    assert len([event for event in asked if event.kind == "told"]) < 40
    with driver(tmp_path / "cut", *words) as process:
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert len(told(tmp_path / "cut")) == 4 * 10
    roomy = workers == 1
    check_logs(tmp_path / "cut", budget="10", seeds=2, roomy=roomy)
    if workers == 1:
        run_all(open_all(ask_for(tmp_path / "whole", *METHODS, budget="10", seeds=2, roomy=roomy)))
        assert told(tmp_path / "cut") == told(tmp_path / "whole")
