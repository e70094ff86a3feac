"""Sweeps on clusters of several nodes of which processes, nodes and notices are killed and sent for real.

After each: no finished trial is trained again, none is lost, and at most the epoch under way is repeated.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.orchestrate import ray_sweep as sweep_module
from raysweep.orchestrate.events import Event, Outcome
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.orchestrate.clusters import Nodes, cluster_of, workers_of
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import LONG, NUM_EPOCHS, Listener, make_tasks, train_or_hang, train_slowly
from tests.orchestrate.processes import find_processes, kill
from tests.orchestrate.test_interrupt import driver, wait_for_epoch

pytestmark = [*RAYS_OWN_WARNINGS, pytest.mark.long]
NAMES = ("a", "b", "c", "long", "d", "e")
Act = Callable[[Nodes], None]


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


class Disturber(Listener):
    """Acts once, at the second epoch of the long trial, and again when that trial has lost its gang."""

    def __init__(self, nodes: Nodes, act: Act, then: Act) -> None:
        super().__init__()
        self.nodes = nodes
        self.acts = {"epoch": act, "retried": then}

    def on_event(self, event: Event) -> None:
        super().on_event(event)
        if event.trial == "long" and event.row.get("epoch", 2) == 2 and event.kind in self.acts:
            self.acts.pop(event.kind)(self.nodes)


def nothing(nodes: Nodes) -> None:
    """The cluster has room to go on."""


def disturb(nodes: Nodes, folder: Path, act: Act, then: Act = nothing) -> Disturber:
    """A sweep that is disturbed, checked to be complete; returns what was heard of it."""
    listener = Disturber(nodes, act, then)
    outcome = run_on_ray(
        make_tasks(folder, *NAMES),
        listener.on_event,
        address=nodes.address,
        train=train_slowly,
        record_end=listener.record_end,
    )
    assert outcome == Outcome(finished=NAMES)
    assert "epoch" not in listener.acts
    for name in NAMES:
        trained = Counter((folder / name).read_text().split())
        num_epochs = LONG if name == "long" else NUM_EPOCHS
        assert list(trained) == [str(epoch) for epoch in range(1, num_epochs + 1)]
        assert sum(trained.values()) <= num_epochs + 1, "more than one epoch was repeated"
        assert listener.epochs(name)[-1] == num_epochs
    return listener


def on_the_long_trial(kill_it: Callable[[Nodes, Any], None]) -> Act:
    """Something done to the node that the long trial is on: it alone is still at work when the others have ended."""

    def act(nodes: Nodes) -> None:
        (node,) = (node for node in nodes.workers if busy(node))
        kill_it(nodes, node)

    return act


def busy(node: Any) -> bool:
    return bool(find_processes("ray::RayTrainWorker") & workers_of(node))


def join(nodes: Nodes) -> None:
    """A node comes when the sweep has had to wait for a while."""
    time.sleep(5)
    nodes.add()


@pytest.mark.parametrize("victim", ["ray::RayTrainWorker", "ray::GangController", "ray::ImplicitFunc"])
def test_a_killed_process_costs_an_epoch_at_most(tmp_path: Path, victim: str) -> None:
    with cluster_of(1) as nodes:
        disturb(nodes, tmp_path, lambda nodes: kill(*find_processes(victim)))


@pytest.mark.parametrize("die", [Nodes.kill_raylet, Nodes.remove])
def test_the_trials_of_a_lost_node_wait_for_another_and_go_on(
    tmp_path: Path, die: Callable[[Nodes, Any], None]
) -> None:
    with cluster_of(1) as nodes:
        listener = disturb(nodes, tmp_path, on_the_long_trial(die), then=join)
        (again,) = (event for event in listener.events if event.kind == "retried")
        assert "attempt" not in again.text, "a lost node does not count as an attempt of the trial"


def test_with_spare_room_the_trials_of_a_lost_node_go_on_elsewhere(tmp_path: Path) -> None:
    with cluster_of(2) as nodes:
        listener = disturb(nodes, tmp_path, on_the_long_trial(Nodes.remove))
        assert listener.kinds("long").count("retried") == 1


def test_a_trial_leaves_a_node_that_is_about_to_be_taken_away(tmp_path: Path) -> None:
    """The notice comes in its third epoch, the end after that: the epoch is not repeated."""
    with cluster_of(2) as nodes:
        act = on_the_long_trial(lambda nodes, node: nodes.drain(node, 60))
        listener = disturb(nodes, tmp_path, act)
    (again,) = (event for event in listener.events if event.kind == "retried")
    assert "another node" in again.text
    assert (tmp_path / "long").read_text().split() == [str(epoch) for epoch in range(1, LONG + 1)]


@pytest.mark.timeout(600)
def test_a_gang_that_hangs_is_replaced_and_one_that_trains_for_long_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    monkeypatch.setattr(sweep_module, "SILENCE_S", 15.0)
    names = ("stopped", "stuck", "slow")
    with cluster_of(1) as nodes:
        outcome = run_on_ray(
            make_tasks(tmp_path, *names), listener.on_event, address=nodes.address, train=train_or_hang
        )
    assert outcome.finished == names
    for name in names[:2]:
        assert listener.kinds(name) == ["started", "epoch", "retried", "epoch", "epoch", "finished"]
        assert any("hangs" in event.text for event in listener.events if event.trial == name)
    assert "retried" not in listener.kinds("slow")


def test_gangs_for_which_there_is_nothing_more_close(tmp_path: Path, listener: Listener) -> None:
    """Their nodes may then be taken away by an autoscaler while another trial goes on."""
    at_work: list[int] = []

    def count(event: Event) -> None:
        listener.on_event(event)
        if event.trial == "long" and event.kind == "epoch":
            at_work.append(sum(map(busy, nodes.workers)))

    with cluster_of(2) as nodes:
        tasks = make_tasks(tmp_path, "long", "a", "b")
        outcome = run_on_ray(tasks, count, address=nodes.address, train=train_slowly)
    assert outcome.finished == ("long", "a", "b")
    assert at_work[-1] == 1


@pytest.mark.parametrize("lose", ["gcs", "head"])
def test_a_lost_head_ends_the_sweep_with_a_sentence_and_a_new_cluster_continues_it(
    tmp_path: Path, lose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster_of(1) as nodes:
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        with driver(tmp_path, "a") as process:
            wait_for_epoch(process)
            head = nodes.cluster.head_node
            head.kill_gcs_server() if lose == "gcs" else nodes.cluster.remove_node(head, allow_graceful=False)
            _, errors = process.communicate(timeout=90)
        assert process.returncode == 1
        assert "run the same command to continue" in errors
    with cluster_of(1) as nodes:
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        with driver(tmp_path, "a") as process:
            output, errors = process.communicate(timeout=120)
        assert "finished=('a',)" in output, errors
