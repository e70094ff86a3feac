"""One real kill -9 of each kind: a worker, a node of a two-node cluster, and the driver.

`test_faults` and `test_soak` have many more, and take minutes.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from raysweep.orchestrate.events import Event
from raysweep.orchestrate.inline import run_inline
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.patch import patch
from raysweep.recipe import Recipe
from tests.orchestrate.clusters import Nodes, cluster_of, workers_of
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_tasks, train_patiently
from tests.orchestrate.processes import find_processes, kill
from tests.orchestrate.test_interrupt import driver, wait_for_epoch
from tests.orchestrate.test_soak import make_trials, table

pytestmark = [*RAYS_OWN_WARNINGS, pytest.mark.usefixtures("one_thread")]
WORKER = "ray::RayTrainWorker"


class Killer(Listener):
    """Kills the busy worker at the first epoch, and the busy node at the first one after the retry."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.nodes = nodes
        self.acts = [self.kill_worker, self.kill_node]
        self.killed: list[str] = []

    def on_event(self, event: Event) -> None:
        super().on_event(event)
        retries = [event.kind for event in self.events].count("retried")
        if event.kind == "epoch" and self.acts and retries == len(self.killed):
            self.acts.pop(0)()

    def kill_worker(self) -> None:
        kill(*find_processes(WORKER))
        self.killed.append("worker")

    def kill_node(self) -> None:
        busy = next(node for node in self.nodes.workers if find_processes(WORKER) & workers_of(node))
        self.nodes.kill_raylet(busy)
        self.killed.append("node")


def test_a_killed_worker_and_then_a_killed_node_of_two(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial goes on in a new process, and then on the other node, to the numbers of an undisturbed sweep."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    recipe = patch(small_recipe, {"training.epochs": 40.0})
    run_inline(make_trials(recipe, small_images, tmp_path / "whole", 1), lambda event: None)
    (task,) = make_trials(recipe, small_images, tmp_path / "store", 1)
    with cluster_of(2) as nodes:
        killer = Killer(nodes)
        outcome = run_on_ray([task], killer.on_event, address=nodes.address)
    assert outcome.finished == (task.trial,)
    assert killer.killed == ["worker", "node"]
    assert killer.kinds(task.trial).count("retried") == 2
    assert table(tmp_path / "store") == table(tmp_path / "whole")


def test_a_killed_driver(cluster: str, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sweep on the same cluster continues: an epoch that is in the store is not trained again."""
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    outcome = run_on_ray(make_tasks(tmp_path, "a"), listener.on_event, address=cluster, train=train_patiently)
    assert outcome.finished == ("a",)
    assert listener.epochs("a") == [2]
