"""Races of several studies within one budget, without trials: what is shared, what comes next, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from raysweep.deciding.allocation import next_step
from raysweep.deciding.budget import Budget
from raysweep.deciding.race import Question, Race
from raysweep.deciding.studies import Races, Run

GAINS = {"base": 0.0, "good": 8.0, "bad": -6.0, "same": 0.0}
LINES = {
    ("a", "base"): "base",
    ("a", "good"): "good",
    ("b", "base"): "base",
    ("b", "bad"): "bad",
    ("b", "same"): "same",
}


class Clock:
    """A clock that only runs when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Simulation:
    """Races whose runs take `seconds` each and return the gain of their line and noise."""

    def __init__(self, budget_s: float, workers: int = 1, seconds: Mapping[str, float] | None = None) -> None:
        self.clock = Clock()
        self.seconds = seconds or dict.fromkeys(GAINS, 1.0)
        races = {
            study: Race(Question(tuple(variant for s, variant in LINES if s == study), "base")) for study in ("a", "b")
        }
        self.races = Races(races, LINES, dict.fromkeys(GAINS, 1.0), Budget(budget_s, workers, clock=self.clock))
        self.made: list[Run] = []

    def value(self, run: Run) -> float:
        noise = np.random.default_rng([sorted(GAINS).index(run[0]), run[1]]).normal()
        return 50.0 + GAINS[run[0]] + float(noise)

    def end(self, run: Run, seconds: float | None) -> None:
        for study, variant in self.races.end(run, seconds):
            self.races.races[study].tell(variant, run[1], self.value(run))

    def run(self) -> None:
        while run := self.races.next_run():
            self.made.append(run)
            self.clock.now += self.seconds[run[0]]
            self.end(run, self.seconds[run[0]])

    def verdicts(self) -> dict[str, str]:
        return {
            variant: str(verdict.outcome)
            for race in self.races.races.values()
            for variant, verdict in race.verdicts.items()
        }


def test_studies_share_the_runs_of_their_baseline() -> None:
    simulation = Simulation(400)
    simulation.run()
    assert len(set(simulation.made)) == len(simulation.made)
    assert all(len(race.values("base")) >= 3 for race in simulation.races.races.values())
    assert simulation.verdicts() == {"good": "better", "bad": "worse", "same": "equal"}
    counts = {line: sum(made == line for made, _ in simulation.made) for line in GAINS}
    assert counts["good"] < counts["same"]
    assert counts["bad"] < counts["same"]


def test_a_variant_that_only_waits_for_the_baseline_asks_for_nothing() -> None:
    race = Race(Question(("base", "good"), "base"))
    race.tell("good", 0, 51.0)
    race.tell("good", 1, 52.0)
    race.tell("base", 0, 50.0)
    assert race.due() == [("base", 1)]
    assert next_step(race) is None


def test_with_several_workers_nothing_is_handed_out_twice_and_it_ends() -> None:
    simulation = Simulation(400, workers=3)
    running: list[Run] = []
    for _ in range(1000):
        while len(running) < 3 and (run := simulation.races.next_run()):
            assert run not in simulation.made
            simulation.made.append(run)
            running.append(run)
        if not running:
            break
        simulation.clock.now += 1.0
        simulation.end(running.pop(), 1.0)
    assert not running
    assert "undecided" not in simulation.verdicts().values()


def test_runs_that_take_longer_than_predicted_do_not_go_over_the_budget() -> None:
    simulation = Simulation(30, seconds=dict.fromkeys(GAINS, 2.5))
    simulation.run()
    assert simulation.clock.now <= 30 * 1.05
    assert simulation.races.seconds("base") == 2.5
    assert len(simulation.made) >= 10


def test_seconds_of_a_line_follow_what_others_have_taken() -> None:
    simulation = Simulation(1000)
    assert simulation.races.seconds("same") == 1.0
    simulation.end(("base", 0), 3.0)
    assert simulation.races.seconds("same") == 3.0


def test_time_used_before_counts() -> None:
    budget = Budget(100, workers=2, used_before_s=80, clock=Clock())
    assert budget.left_s([]) == 40
    assert budget.left_s([(0.0, 15.0)]) == 25
    assert not budget.has_time_for(30)


@pytest.mark.parametrize(("line", "left"), [("base", set()), ("bad", {"base", "good", "same"})])
def test_a_line_that_failed_stops_only_what_needs_it(line: str, left: set[str]) -> None:
    simulation = Simulation(400)
    simulation.races.fail((line, 0))
    simulation.run()
    assert {made for made, _ in simulation.made} == left
