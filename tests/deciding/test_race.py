"""Races: what is run, what is claimed, and how it goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import raysweep
from raysweep.deciding.looks import baseline_runs
from raysweep.deciding.racing import RaceResult
from raysweep.disk.locks import locked
from raysweep.errors import RaysweepError

GAINS = {"baseline": 0.0, "far_better": 12.0, "worse": -3.0, "same": 0.0}


class Trainings:
    """Runs of variants with these gains, normal with standard deviation 1, and a record of what was asked for."""

    def __init__(self, gains: Mapping[str, float] = GAINS, seed: int = 0, failing: Mapping[str, int] = {}) -> None:
        rng = np.random.default_rng(seed)
        self.runs = {name: (gain + rng.normal(0, 1, 400)).tolist() for name, gain in gains.items()}
        self.failing = failing
        """Variant -> n, where every n-th run of it fails."""
        self.asked: list[tuple[str, int]] = []

    def __call__(self, variant: str, seed: int) -> float | None:
        self.asked.append((variant, seed))
        if (every := self.failing.get(variant)) and seed % every == every - 1:
            return None
        return float(self.runs[variant][seed])


def race(measure: Trainings, **arguments: object) -> RaceResult:
    return raysweep.race(list(measure.runs), measure, "baseline", **arguments)  # type: ignore[arg-type]


def test_each_variant_is_judged_and_the_clear_ones_take_few_runs() -> None:
    found = race(Trainings(), budget=300)
    assert found.verdicts == {"far_better": "better", "worse": "worse", "same": "equal"}
    assert found.details["far_better"].runs < found.details["worse"].runs < found.details["same"].runs
    assert found.best == "far_better"
    gain, low, high = found.gains["worse"]
    assert low < gain < high < 0


def test_trials_are_those_that_were_asked_for_and_no_run_is_made_twice() -> None:
    measure = Trainings()
    found = race(measure, budget=60)
    assert [(variant, seed) for variant, seed, _ in found.trials] == measure.asked
    assert len(set(measure.asked)) == len(measure.asked) == found.spent <= 60


def test_the_first_runs_are_two_of_each_variant_and_dunnetts_share_of_the_baseline() -> None:
    measure = Trainings()
    first = baseline_runs(2, 3)
    race(measure, budget=6 + first)
    assert sorted(measure.asked) == sorted(
        [("baseline", seed) for seed in range(first)] + [(name, seed) for name in list(GAINS)[1:] for seed in (0, 1)]
    )


def test_a_race_for_the_best_stops_when_it_is_known() -> None:
    measure = Trainings({"baseline": 0.0, "good": 6.0, "best": 9.0} | {f"bad{number}": -2.0 for number in range(6)})
    found = race(measure, budget=500, goal="best")
    assert found.best == "best"
    assert found.chances["best"] > 0.95
    assert len(found.trials) < 40


def test_runs_that_fail_are_an_outcome_and_not_an_accuracy() -> None:
    found = race(Trainings(failing={"worse": 2, "same": 1}), budget=100)
    assert found.verdicts["worse"] == found.verdicts["same"] == "did not train"
    assert (found.details["worse"].failed, found.details["worse"].runs) == (1, 2)
    assert math.isnan(found.gains["same"][0])
    assert "same" not in found.chances
    assert "did not train (2 of 2)" in str(found)


def test_a_variant_that_fails_no_more_often_than_the_baseline_is_judged_by_its_other_runs() -> None:
    found = race(Trainings(failing={"baseline": 3, "far_better": 3}), budget=100)
    assert found.verdicts["far_better"] == "better"


def test_an_undecided_variant_says_how_many_runs_it_needs() -> None:
    found = race(Trainings({"baseline": 0.0, "slightly": 1.5}), budget=8)
    assert found.verdicts == {"slightly": "undecided"}
    more = found.more_runs["slightly"]
    assert more
    assert f"needs about {more} more" in str(found)


def test_a_budget_of_seconds_counts_the_cost_of_each_variant() -> None:
    costs = {"baseline": 2.0, "far_better": 10.0, "worse": 1.0, "same": 1.0}
    found = race(Trainings(), budget=150.0, cost=costs)
    spent = sum(costs[variant] for variant, _, _ in found.trials)
    assert found.spent == spent <= 150
    assert race(Trainings(), budget=150.0, cost=costs.__getitem__).trials == found.trials


def test_a_race_continues_from_its_log_with_more_budget_to_the_end_it_would_have_had(tmp_path: Path) -> None:
    whole = race(Trainings(), budget=90)
    before = race(Trainings(), budget=25, log=tmp_path / "race.jsonl")
    rest = Trainings()
    continued = race(rest, budget=90, log=tmp_path / "race.jsonl")
    assert [(variant, seed) for variant, seed, _ in continued.trials[len(before.trials) :]] == rest.asked != []
    assert continued.verdicts == whole.verdicts


def test_after_a_kill_in_the_middle_of_a_line_all_whole_lines_count(tmp_path: Path) -> None:
    log = tmp_path / "race.jsonl"
    before = race(Trainings(), budget=30, log=log)
    log.write_bytes(log.read_bytes()[:-5])
    rest = Trainings()
    after = race(rest, budget=30, log=log)
    assert rest.asked == [before.trials[-1][:2]]
    assert after.trials == before.trials
    assert [json.loads(line)["value"] for line in log.read_text().splitlines()[1:]] == [row[2] for row in after.trials]


def test_results_are_in_the_log_before_the_next_run_begins(tmp_path: Path) -> None:
    log, measure = tmp_path / "race.jsonl", Trainings()

    def crash(variant: str, seed: int) -> float | None:
        if len(measure.asked) == 7:
            raise OSError("the disk of the training is full")
        return measure(variant, seed)

    with pytest.raises(OSError, match="full"):
        raysweep.race(list(GAINS), crash, "baseline", log=log)
    assert len(log.read_text().splitlines()) == 1 + 7


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"margin": 0.0}, ["margin", "0"]),
        ({"margin": -1.0}, ["-1"]),
        ({"margin": math.nan}, ["nan"]),
        ({"level": 0.0}, ["level", "0"]),
        ({"goal": "first"}, ["first", "all", "best"]),
        ({"budget": 5}, ["budget", "5"]),
        ({"cost": {"baseline": 1.0}}, ["far_better", "nan"]),
        ({"cost": dict.fromkeys(GAINS, 0.0)}, ["cost", "0"]),
    ],
)
def test_what_makes_no_race_is_refused_before_anything_runs(change: dict[str, object], values: list[str]) -> None:
    measure = Trainings()
    with pytest.raises(RaysweepError) as error:
        race(measure, **change)
    assert all(value in str(error.value) for value in values)
    assert not measure.asked


@pytest.mark.parametrize(
    ("variants", "baseline", "value"), [(["a", "a", "b"], "b", "a"), (["a", "b"], "c", "c"), (["a"], "a", "a")]
)
def test_variants_that_make_no_race_are_refused(variants: list[str], baseline: str, value: str) -> None:
    with pytest.raises(RaysweepError, match=value):
        raysweep.race(variants, Trainings(), baseline)


@pytest.mark.parametrize("content", ["", "{}\n", "no json\n", '["a"]\n', "notes of mine", "1\nnotes of mine"])
def test_a_log_of_something_else_is_refused_and_an_empty_one_is_begun(tmp_path: Path, content: str) -> None:
    log = tmp_path / "log"
    log.write_text(content)
    if not content:
        assert race(Trainings(), budget=20, log=log).trials
        return
    with pytest.raises(RaysweepError, match="log"):
        race(Trainings(), budget=20, log=log)
    assert log.read_text() == content


def test_another_question_needs_another_log(tmp_path: Path) -> None:
    race(Trainings(), budget=20, log=tmp_path / "log")
    with pytest.raises(RaysweepError, match="margin"):
        race(Trainings(), budget=20, log=tmp_path / "log", margin=2.0)
    assert race(Trainings(), budget=20, log=tmp_path / "log", goal="best").trials


def test_a_log_that_another_process_uses_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "log.lock"), pytest.raises(RaysweepError, match="log"):
        race(Trainings(), log=tmp_path / "log")
