"""Real training under a hail of kills: the table at the end is that of an undisturbed run, bit for bit."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.identity import trial_id
from raysweep.orchestrate.events import Event
from raysweep.orchestrate.inline import run_inline
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.store.store import Store
from raysweep.train.task import TrialTask
from tests.disks import small_disk
from tests.orchestrate.clusters import Nodes, cluster_of, workers_of
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener
from tests.orchestrate.processes import find_processes, kill

pytestmark = [*RAYS_OWN_WARNINGS, pytest.mark.long, pytest.mark.usefixtures("one_thread")]
TRIALS = 60
KILL_EVERY_S = 4.0
VICTIMS = ("ray::RayTrainWorker", "ray::ImplicitFunc", "ray::GangController", "raylet")
EXACT = ("trial", "epoch", "train_loss", "top1", "logloss")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


def make_trials(recipe: Recipe, images: Path, store: Path, number: int) -> list[TrialTask]:
    Store.open(str(store), create=True)
    recipes = [patch(recipe, {"seed": seed}) for seed in range(number)]
    return [TrialTask(trial_id(recipe), recipe, str(images), str(store), "demo") for recipe in recipes]


def table(store: Path) -> list[dict[str, Any]]:
    rows = Store.open(str(store)).epochs().select(EXACT).to_pylist()
    return sorted(rows, key=lambda row: (row["trial"], row["epoch"]))


class Killer(Listener):
    """Kills something at random every few seconds. A raylet is followed by a new node, or there would soon be none."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.next = time.monotonic()

    def on_event(self, event: Event) -> None:
        super().on_event(event)
        if event.kind == "epoch" and time.monotonic() >= self.next:
            self.kill()
            self.next = time.monotonic() + KILL_EVERY_S

    def kill(self) -> None:
        victim = self.random.choice(VICTIMS)
        if victim == "raylet":
            self.nodes.kill_raylet(self.random.choice(self.nodes.workers))
            self.nodes.add()
        elif there := find_processes(victim):
            kill(self.random.choice(sorted(there)))
        self.killed[victim] += 1


@pytest.mark.timeout(1500)
def test_a_sweep_with_a_kill_every_few_seconds_ends_complete_and_equal(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    """SOAK_SEED in the environment repeats a run's choices, though not the moments they fall in."""
    seed = int(os.environ.get("SOAK_SEED", "") or random.SystemRandom().randrange(1000))
    run_inline(make_trials(small_recipe, small_images, tmp_path / "whole", TRIALS), lambda event: None)
    tasks = make_trials(small_recipe, small_images, tmp_path / "soaked", TRIALS)
    start = time.monotonic()
    with cluster_of(2) as nodes:
        killer = Killer(nodes, seed)
        outcome = run_on_ray(tasks, killer.on_event, address=nodes.address, max_attempts=5)
    print(f"seed {seed}: {time.monotonic() - start:.0f} s, killed {dict(killer.killed)}")
    assert outcome.finished == tuple(task.trial for task in tasks)
    assert table(tmp_path / "soaked") == table(tmp_path / "whole")
    assert sum(killer.killed.values()) >= 5
    for task in tasks:
        kinds = killer.kinds(task.trial)
        assert kinds.count("finished") == 1
        assert kinds[-1] == "finished", "a finished trial was trained again"


class Away(Listener):
    """Takes the store away for a while, as a mount that drops, as soon as its first epoch is in it."""

    def __init__(self, store: Path, away_s: float) -> None:
        super().__init__()
        self.store = store
        self.away_s = away_s

    def on_event(self, event: Event) -> None:
        super().on_event(event)
        if event.kind == "epoch" and self.away_s:
            self.store.rename(self.store.with_name("elsewhere"))
            time.sleep(self.away_s)
            self.store.with_name("elsewhere").rename(self.store)
            self.away_s = 0.0


def test_a_store_that_is_away_for_a_minute_is_waited_for(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    run_inline(make_trials(small_recipe, small_images, tmp_path / "whole", 2), lambda event: None)
    tasks = make_trials(small_recipe, small_images, tmp_path / "store", 2)
    with cluster_of(1) as nodes:
        away = Away(tmp_path / "store", 60.0)
        outcome = run_on_ray(tasks, away.on_event, address=nodes.address)
    assert outcome.finished == tuple(task.trial for task in tasks)
    assert any(event.text.startswith("waiting for the store") for event in away.events)
    assert "retried" not in [event.kind for event in away.events]
    assert table(tmp_path / "store") == table(tmp_path / "whole")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "4m") as disk:
        yield disk


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_full_disk_is_waited_for(small_recipe: Recipe, small_images: Path, disk: Path, tmp_path: Path) -> None:
    run_inline(make_trials(small_recipe, small_images, tmp_path / "whole", 2), lambda event: None)
    tasks = make_trials(small_recipe, small_images, disk / "store", 2)
    listener, ballast = Listener(), []

    def fill_then_free(event: Event) -> None:
        listener.on_event(event)
        if event.kind == "epoch" and not ballast:
            ballast.append(fill(disk))
        if "No space left" in event.text:
            ballast[0].unlink()

    with cluster_of(1) as nodes:
        outcome = run_on_ray(tasks, fill_then_free, address=nodes.address)
    assert outcome.finished == tuple(task.trial for task in tasks)
    assert any(event.text.startswith("waiting for the store") for event in listener.events)
    assert table(disk / "store") == table(tmp_path / "whole")


def test_a_trial_moves_from_a_node_that_is_about_to_go_to_the_same_numbers(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    recipe = patch(small_recipe, {"training.epochs": 40.0})
    run_inline(make_trials(recipe, small_images, tmp_path / "whole", 1), lambda event: None)
    (task,) = make_trials(recipe, small_images, tmp_path / "store", 1)
    listener, drained = Listener(), []

    def drain_once(event: Event) -> None:
        listener.on_event(event)
        if event.kind == "epoch" and not drained:
            drained.extend(node for node in nodes.workers if find_processes("ray::RayTrainWorker") & workers_of(node))
            nodes.drain(drained[0], 60)

    with cluster_of(2) as nodes:
        run_on_ray([task], drain_once, address=nodes.address, max_attempts=1)
    assert listener.kinds(task.trial).count("retried") == 1
    assert listener.epochs(task.trial) == list(range(1, 41)), "no epoch was repeated"
    assert table(tmp_path / "store") == table(tmp_path / "whole")
