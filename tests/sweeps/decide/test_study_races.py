"""The races of `decide` over a real store, with trials that a fake trainer ends: logs, kills, failures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.deciding.budget import Budget
from raysweep.deciding.race import Question, Race
from raysweep.deciding.studies import Races
from raysweep.identity import line_id, recipe_json, trial_id
from raysweep.patch import patch
from raysweep.planning import Member
from raysweep.protocols import find_protocol
from raysweep.store.decision_log import DecisionLog
from raysweep.store.store import Store
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.trials import Entry, Trials, score
from raysweep.train.task import TrialTask

BASE = find_protocol("demo")
RECIPES = {"relu": BASE} | {name: patch(BASE, {"network.activation": name}) for name in ("elu", "tanh")}
TOP1 = {"relu": 0.60, "elu": 0.70, "tanh": 0.50}
RACED = {"activation": ("relu", "elu"), "other": ("relu", "tanh")}


def make_races(folder: Path, budget_s: float = 300.0) -> StudyRaces:
    store = Store.open(str(folder), create=True)
    entries = {
        line_id(recipe): Entry(
            recipe,
            tuple(Member(study, name, "", 0, "relu", line_id(BASE)) for study, names in RACED.items() if name in names),
            "images",
        )
        for name, recipe in RECIPES.items()
    }
    races = Races(
        {study: Race(Question(names, "relu")) for study, names in RACED.items()},
        {(study, name): line_id(RECIPES[name]) for study, names in RACED.items() for name in names},
        dict.fromkeys(entries, 1.0),
        Budget(budget_s, clock=lambda: 0.0),
    )
    logs = {study: DecisionLog(store.files, study, {"study": study, "settings": {}}) for study in RACED}
    return StudyRaces(races, entries, logs, Trials(store, TrialTask("", BASE, "", str(folder), "demo")))


def write_end(store: Store, task: TrialTask, status: str = "finished") -> None:
    recipe = task.recipe
    noise = float(np.random.default_rng([recipe.seed, len(recipe.network.activation)]).normal(0, 0.01))
    row = {"trial": task.trial, "seed": recipe.seed, "status": status, "epochs": 1, "attempts": 1, "wall_s": 1.0}
    top1 = TOP1[recipe.network.activation] + noise
    store.write_trial(row | {"top1": top1, "recipe": recipe_json(recipe), "protocol": "demo"})


def run(races: StudyRaces, most: int = 1000) -> list[str]:
    made = []
    while len(made) < most and (task := races.next()):
        write_end(races.trials.store, task)
        races.end(task.trial, "finished")
        made.append(task.trial)
    return made


def outcomes(races: StudyRaces) -> dict[str, str]:
    return {answer.variant: str(answer.verdict.outcome) for answer in races.answers()}


def test_a_race_ends_with_verdicts_its_log_and_the_studies_of_its_trials(tmp_path: Path) -> None:
    races, said = make_races(tmp_path), []
    races.say = lambda kind, text: said.append((kind, text))
    made = run(races)
    assert outcomes(races) == {"elu": "better", "tanh": "worse"}
    assert [text.split()[:2] for kind, text in said if kind == "verdict"] == [
        ["activation/elu", "better"],
        ["other/tanh", "worse"],
    ]
    members = races.trials.store.members().to_pylist()
    assert {row["trial"] for row in members} == set(made)
    shared = {row["trial"] for row in members if row["variant"] == "relu"}
    assert all({row["study"] for row in members if row["trial"] == trial} == set(RACED) for trial in shared)
    last = json.loads((tmp_path / "decisions" / "other.jsonl").read_text().splitlines()[-1])
    assert (last["verdict"], last["variant"]) == ("worse", "tanh")
    assert last["low"] < last["gain"] < last["high"] < 0


@pytest.mark.parametrize("killed_after", [1, 5, 8])
def test_a_killed_race_continues_as_if_nothing_had_happened(tmp_path: Path, killed_after: int) -> None:
    whole = make_races(tmp_path / "whole")
    made = run(whole)
    before = run(make_races(tmp_path / "killed"), killed_after)
    again = make_races(tmp_path / "killed")
    again.resume()
    assert before + run(again) == made
    assert again.answers() == whole.answers()


def test_a_result_without_its_line_in_a_log_counts_after_a_kill(tmp_path: Path) -> None:
    races = make_races(tmp_path)
    run(races, 3)
    task = races.next()
    assert task
    write_end(races.trials.store, task)  # the driver is killed here
    again = make_races(tmp_path)
    again.resume()
    assert task.trial in {row["trial"] for log in again.logs.values() for row in log.of_kind("seed")}
    assert task.trial not in run(again)


def test_trials_of_run_count_up_to_the_first_missing_seed(tmp_path: Path) -> None:
    races = make_races(tmp_path)
    template = races.trials.template
    for seed in (0, 1, 3):
        recipe = replace(RECIPES["elu"], seed=seed)
        write_end(races.trials.store, replace(template, trial=trial_id(recipe), recipe=recipe))
    races.resume()
    assert [row["seed"] for row in races.logs["activation"].of_kind("seed")] == [0, 1]
    assert races.races.measured_s == {}
    assert {row["study"] for row in races.trials.store.members().to_pylist()} == {"activation"}


def test_a_failed_trial_ends_what_needs_it_and_is_named(tmp_path: Path) -> None:
    races = make_races(tmp_path)
    failed = ""
    while task := races.next():
        if task.recipe.network.activation == "elu":
            failed = task.trial
            races.end(task.trial, "failed")
        else:
            write_end(races.trials.store, task)
            races.end(task.trial, "finished")
    assert outcomes(races) == {"elu": "undecided", "tanh": "worse"}
    assert {answer.variant: answer.failed_trial for answer in races.answers()} == {"elu": failed, "tanh": ""}


def test_more_hours_continue_and_fewer_end_it(tmp_path: Path) -> None:
    short = make_races(tmp_path, budget_s=4.0)
    clock = [0.0]
    short.races.budget = Budget(4.0, clock=lambda: clock[0])
    while task := short.next():
        write_end(short.trials.store, task)
        clock[0] += 1.0
        short.end(task.trial, "finished")
    assert clock[0] == 4.0
    assert "undecided" in outcomes(short).values()
    long = make_races(tmp_path)
    long.resume()
    assert run(long)
    assert "undecided" not in outcomes(long).values()


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"status": "finished", "top1": 0.6}, 60.0),
        ({"status": "finished", "top1": 0.15}, None),
        ({"status": "diverged", "top1": 0.6}, None),
        ({"status": "finished", "top1": None}, None),
    ],
)
def test_a_run_that_diverged_or_guesses_did_not_train(row: dict[str, Any], value: float | None) -> None:
    assert score(row, BASE) == value
