"""A sweep that grows with its cluster, and a trial that needs a device to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from raysweep.orchestrate import growth
from raysweep.orchestrate.events import Event, Outcome
from raysweep.orchestrate.growth import Growth
from raysweep.orchestrate.leases import Demand
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.train.task import Placement, TrialTask
from raysweep.train.worker import Gang, GangShape
from tests.orchestrate.clusters import cluster_of
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_row, make_tasks, train_greedily, train_slowly, train_where

pytestmark = RAYS_OWN_WARNINGS
NODE = {"CPU": 2.0}


class Added:
    """Gangs that only remember what was added."""

    def __init__(self) -> None:
        self.threads: dict[str, bool] = {}
        self.shapes: list[GangShape] = []
        self.avoid: list[frozenset[str]] = []
        self.waiting = 0

    def add(self, gang: Gang, wide: bool) -> None:
        self.threads[gang.name] = wide
        self.shapes.append(gang.shape)
        self.avoid.append(gang.avoid)

    def num_waiting(self) -> int:
        return self.waiting


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes on waiting, in a cluster whose autoscaler may add one node."""
    said: list[str] = []
    monkeypatch.setattr(growth, "nodes_to_come", lambda there: [NODE])
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 0.0})
    monkeypatch.setattr(ray, "get", lambda found: found)
    return said


def grow(notes: list[str], at_once: int | None = None) -> tuple[Growth, Added, list[int]]:
    added, allowed = Added(), list[int]()
    pool: Any = SimpleNamespace(remark=SimpleNamespace(remote=notes.append))
    gangs: Any = added
    return Growth(pool, gangs, Gang("", GangShape(), pool, train_where), at_once, allowed.append), added, allowed


@pytest.mark.parametrize(
    ("there", "demand", "at_once", "more"),
    [
        ([NODE], Demand(gangs=2, trials=9), None, 2),
        ([NODE, NODE], Demand(gangs=2, trials=9), None, 4),
        ([NODE, NODE], Demand(gangs=2, trials=9), 3, 1),
        ([NODE, NODE], Demand(gangs=2, trials=3), None, 1),
        ([], Demand(gangs=4, trials=9), None, 0),
    ],
)
def test_gangs_are_added_where_there_is_room_and_work(
    there: Sequence[Mapping[str, float]], demand: Demand, at_once: int | None, more: int, notes: list[str]
) -> None:
    sweep, added, allowed = grow(notes, at_once)
    sweep.check(demand, there)
    assert len(added.threads) == more
    assert not any(added.threads.values())
    assert allowed == [demand.gangs + more]


def test_new_gangs_avoid_the_nodes_where_others_were_given_up(notes: list[str]) -> None:
    sweep, added, _ = grow(notes)
    sweep.check(Demand(gangs=3, trials=9, alone=1, avoid=frozenset({"id7"})), [NODE])
    assert added.avoid == [{"id7"}] * 2
    assert list(added.threads.values()) == [False, True]


def test_one_gang_with_a_node_to_itself_for_those_that_need_it(notes: list[str]) -> None:
    sweep, added, allowed = grow(notes)
    sweep.check(Demand(gangs=4, trials=9, alone=2), [NODE])
    assert added.threads == {"gang-0": True}
    assert added.shapes == [GangShape(cpus=2)]
    sweep.check(Demand(gangs=4, trials=9, alone=2, has_wide=True), [NODE])
    assert len(added.threads) == 1
    assert allowed == [4 + 2] * 2


def test_waiting_is_reported_after_some_checks_and_once(notes: list[str]) -> None:
    sweep, added, _ = grow(notes)
    added.waiting = 2
    for _ in range(growth.PATIENCE - 1):
        sweep.check(Demand(gangs=4, trials=4), [NODE])
    assert not notes
    for _ in range(3):
        sweep.check(Demand(gangs=4, trials=4), [NODE])
    assert len(notes) == 1
    for words in ("2 trials", "1 CPU each", "2 of 2 CPUs", "1 node(s)"):
        assert words in notes[0]


@pytest.mark.long
def test_a_trial_out_of_memory_is_tried_again_with_a_node_to_itself(
    cluster: str, listener: Listener, tmp_path: Path
) -> None:
    names = ("a", "greedy", "b", "greediest", "c")
    outcome = run_on_ray(
        make_tasks(tmp_path, *names),
        listener.on_event,
        address=cluster,
        train=train_greedily,
        record_end=listener.record_end,
    )
    assert outcome == Outcome(finished=("a", "greedy", "b", "c"), failed=("greediest",))
    assert listener.kinds("greedy") == ["started", "epoch", "retried", "epoch", "epoch", "finished"]
    assert [row["alone"] for row in listener.rows("greedy")] == [False, True, True]
    assert {row["threads"] for name in names for row in listener.rows(name)} == {1}
    assert listener.recorded.keys() == {"greediest"}
    (text,) = (event.text for event in listener.events if event.trial == "greedy" and event.kind == "retried")
    assert "whole device" in text


@pytest.mark.long
def test_a_sweep_that_has_lost_its_node_reports_what_it_waits_for(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    waits: list[str] = []
    with cluster_of(1) as nodes:

        def lose_and_mend(event: Event) -> None:
            listener.on_event(event)
            if event.kind == "epoch" and event.row["epoch"] == 2 and not waits and nodes.workers:
                nodes.remove(nodes.workers[0])
            if event.text.startswith("1 trial is waiting for"):
                waits.append(event.text)
                nodes.add()

        outcome = run_on_ray(make_tasks(tmp_path, "long"), lose_and_mend, address=nodes.address, train=train_slowly)
    assert outcome.finished == ("long",)
    assert [("1 CPU;" in text, "0 of 0 CPUs" in text) for text in waits] == [(True, True)]


class FailsOn:
    """A train function that cannot be loaded on the node whose address is in a file, as on one that lacks a package."""

    def __init__(self, bad: Path) -> None:
        self.bad = bad

    def __call__(self, task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        """Epochs of a second that say where they were trained; the first one lasts until there is a file called go."""
        while not (Path(task.store) / "go").exists():
            place.on_step()
            time.sleep(0.1)
        for epoch in range(1, 3 * int(growth.CHECK_S) + 1):
            time.sleep(1)
            yield make_row(task.trial, epoch, 3 * int(growth.CHECK_S), node=ray.get_runtime_context().get_node_id())

    def __reduce__(self) -> Any:
        return _load_unless_on, (self.bad,)


def _load_unless_on(bad: Path) -> FailsOn:
    if ray.is_initialized() and bad.read_text() == ray.get_runtime_context().get_node_id():
        raise ImportError("this node lacks a package")
    return FailsOn(bad)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_node_where_no_gang_starts_is_left_alone_and_the_sweep_ends_on_the_others(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    names = ("a", "b")

    def go_on(event: Event) -> None:
        listener.on_event(event)
        if "given up" in event.text:
            (tmp_path / "go").touch()

    with cluster_of(2) as nodes:
        bad, good = nodes.workers
        (tmp_path / "bad").write_text(bad.node_id)
        outcome = run_on_ray(
            make_tasks(tmp_path, *names), go_on, address=nodes.address, train=FailsOn(tmp_path / "bad")
        )
    assert outcome.finished == names
    assert {row["node"] for name in names for row in listener.rows(name)} == {good.node_id}
    given_up = [event.text for event in listener.events if "given up" in event.text]
    assert len(given_up) == 1
    assert bad.node_ip_address in given_up[0]
    assert not any("gang-2" in event.text for event in listener.events), "no gang is started there again"


@pytest.mark.long
def test_a_node_that_joins_is_used(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    names = tuple(f"t{number:02}" for number in range(30))
    with cluster_of(1) as nodes:

        def join(event: Event) -> None:
            listener.on_event(event)
            if event.kind == "epoch" and len(nodes.workers) < 2:
                nodes.add()

        outcome = run_on_ray(make_tasks(tmp_path, *names), join, address=nodes.address, train=train_where)
        assert outcome.finished == names
        used = {row["node"] for name in names for row in listener.rows(name)}
        assert used == {node.node_id for node in nodes.workers}
