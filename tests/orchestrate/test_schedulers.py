"""Schedulers, as Tune calls them and as a continued search replays them. Curves are given, nothing is trained."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.orchestrate.schedulers import Seen, Stopping, make_scheduler
from raysweep.proposals import SpaceOptions

NUM_EPOCHS = 27


def scheduler_of(name: str, history: tuple[Seen, ...] = (), baseline: str = "", **options: Any) -> Stopping:
    made = make_scheduler(SpaceOptions(scheduler=name, **options), NUM_EPOCHS, history, baseline)
    assert made is not None
    return made


def curve(trial: str) -> list[Seen]:
    """Rises to a height of its own, with noise of its own."""
    rng = random.Random(trial)
    height = rng.random()
    return [Seen(trial, e, height * e / NUM_EPOCHS + rng.random() / 50) for e in range(1, NUM_EPOCHS + 1)]


class Tune:
    """Gives trials new numbers in every sweep, and reports one epoch of each running one in turn."""

    def __init__(self, scheduler: Stopping, done: dict[str, int]) -> None:
        self.scheduler = scheduler
        self.done = done
        """Trial -> epochs that it has behind it."""
        self.history: list[Seen] = []
        self.running = {}
        for number, trial in enumerate(done):
            self.running[trial] = SimpleNamespace(trial_id=f"{random.random()}_{number}", config={"trial": trial})
            scheduler.on_trial_add(None, self.running[trial])

    def step(self, trial: str) -> None:
        seen = curve(trial)[self.done[trial]]
        self.history.append(seen)
        self.done[trial] += 1
        result = {"epoch": seen.epoch, "top1": seen.top1, "training_iteration": 1}
        if seen.epoch == NUM_EPOCHS:
            self.scheduler.on_trial_complete(None, self.running.pop(trial), result)
        elif self.scheduler.on_trial_result(None, self.running[trial], result) == "STOP":
            del self.running[trial]

    def run(self, steps: int = 10**6) -> None:
        for _ in range(steps):
            if not self.running:
                return
            self.step(min(self.running, key=lambda trial: (self.done[trial], trial)))


TRIALS = [f"t{number:02}" for number in range(24)]


@pytest.mark.parametrize("name", ["asha", "median"])
@pytest.mark.parametrize("kills", [(1,), (40,), (77, 20, 5), (3, 3, 3, 150)])
def test_a_search_killed_and_continued_stops_the_same_trials(name: str, kills: tuple[int, ...]) -> None:
    """At the same epochs and for the same reasons; the last decision before a kill may not have been written."""
    whole = Tune(scheduler_of(name), dict.fromkeys(TRIALS, 0))
    whole.run()
    assert 4 < len(whole.scheduler.why) < len(TRIALS)
    history: list[Seen] = []
    done = dict.fromkeys(TRIALS, 0)
    for steps in (*kills, 10**6):
        scheduler = scheduler_of(name, tuple(history))
        left = {t: e for t, e in done.items() if e < NUM_EPOCHS and t not in scheduler.why}
        tune = Tune(scheduler, left)
        tune.run(steps)
        history += tune.history
        done |= tune.done
    assert scheduler.why == whole.scheduler.why
    assert done == whole.done


@pytest.mark.parametrize("name", ["asha", "median"])
def test_the_baseline_is_not_stopped(name: str) -> None:
    alone = Tune(scheduler_of(name), dict.fromkeys(TRIALS, 0))
    alone.run()
    loser = next(iter(alone.scheduler.why))
    tune = Tune(scheduler_of(name, baseline=loser), dict.fromkeys(TRIALS, 0))
    tune.run()
    assert tune.done[loser] == NUM_EPOCHS
    assert loser not in tune.scheduler.why


def test_reasons_name_epoch_rung_and_numbers() -> None:
    good = [Seen(trial, e, 0.5 + 0.1 * k) for k, trial in enumerate("abcd") for e in range(1, 9)]
    for name, reason in (
        ("asha", "asha: epoch 3, rung 3: .*0.4100 is below 0.7000.* 1 in 3"),
        ("median", "median: epoch 3: .*0.4100, is below 0.6500, .* 4 "),
    ):
        scheduler = scheduler_of(name, tuple(good), grace_epochs=3)
        tune = Tune(scheduler, {"new": 0})
        for epoch in (1, 2, 3):
            assert not scheduler.why
            scheduler.on_trial_result(None, tune.running["new"], {"epoch": epoch, "top1": 0.41})
        assert scheduler.why.keys() == {"new"}
        assert re.match(reason, scheduler.why["new"])


@pytest.mark.parametrize(("num_epochs", "first_rung"), [(1, 1), (4, 1), (64, 4)])
def test_a_scheduler_waits_a_sixteenth_of_the_training(num_epochs: int, first_rung: int) -> None:
    scheduler: Any = make_scheduler(SpaceOptions(scheduler="asha"), num_epochs)
    assert scheduler._brackets[0]._rungs[-1][0] == first_rung


def test_none_is_none() -> None:
    assert make_scheduler(SpaceOptions(), 8) is None
