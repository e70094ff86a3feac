"""`raysweep decide` as a user meets it: an answer on generated images, its continuation, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import raysweep
from raysweep import notebook
from raysweep.errors import RaysweepError
from raysweep.pace import Pace
from raysweep.store.store import Store
from raysweep.sweeps import measured_pace, resources
from raysweep.verbs.entry import raysweep as command

SMALL = {"protocol": "demo", "width": 0.0625, "epochs": 1, "variants": "elu", "inline": True, "race_only": True}


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of this machine, which is not measured."""
    made = Pace(3000.0, 6000.0, 0.1, 1_000_000, 2, "2026-01-01")
    monkeypatch.setattr(measured_pace, "pace_here", lambda request, note, threads=1: made)


@pytest.mark.usefixtures("pace")
def test_it_answers_within_the_budget_and_continues(small_images: Path, tmp_path: Path) -> None:
    asked = SMALL | {"data": small_images, "store": tmp_path / "s"}
    (answer,) = raysweep.decide("activation", budget="3s", **asked).answers
    assert (answer.study, answer.variant, answer.baseline.name) == ("activation", "elu", "relu")
    trials = raysweep.results("activation", store=tmp_path / "s")
    assert set(trials["variant"]) == {"relu", "elu"}
    assert (trials["status"] == "finished").all()
    (again,) = raysweep.decide("activation", budget="3s", **asked).answers
    after = raysweep.results("activation", store=tmp_path / "s")
    assert set(trials["trial"]) <= set(after["trial"])  # a faster second may find time for one more
    if len(after) == len(trials):
        assert again.verdict == answer.verdict
    with pytest.raises(RaysweepError) as error:
        raysweep.decide("activation", budget="3s", lr=0.5, **asked)
    assert "solver.lr" in str(error.value)


@pytest.mark.usefixtures("pace")
@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"budget": "1s"}, ("--budget 1 s", "1 variant of activation", "17 s")),
        ({"budget": "2"}, ("'2'",)),
        ({}, ("--budget",)),
        ({"budget": "2h", "margin": 0}, ("margin 0",)),
        ({"budget": "2h", "margin": -1}, ("margin", "-1")),
        ({"budget": "2h", "goal": "win"}, ("'win'",)),
        ({"budget": "2h", "variants": "elv"}, ("'elv'", "elu")),
        ({"budget": "2h", "variants": "relu"}, ("'relu'",)),
        ({"budget": "2h", "seeds": 3}, ("seeds",)),
    ],
)
def test_what_makes_no_question_is_refused_before_training(
    changes: dict[str, object], values: tuple[str, ...], small_images: Path, tmp_path: Path
) -> None:
    asked = SMALL | {"data": small_images, "store": tmp_path / "s", "epochs": 30} | changes
    with pytest.raises(RaysweepError) as error:
        raysweep.decide("activation", **asked)
    assert all(value in str(error.value) for value in values), error.value
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("study", "value"), [("joint", "joint"), ("activaton", "activation")])
def test_only_studies_are_decided(study: str, value: str) -> None:
    with pytest.raises(RaysweepError, match=value):
        raysweep.decide(study, budget="2h", protocol="demo")


@pytest.mark.usefixtures("pace")
def test_a_dry_run_prints_the_first_runs_and_trains_nothing(small_images: Path, tmp_path: Path) -> None:
    words = ["decide", "activation", "pooling", "--protocol", "demo", "--data", str(small_images), "--budget", "1h"]
    words += ["--store", str(tmp_path / "s"), "--variants", "elu,tanh,average", "--dry-run", "--json", "--race-only"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    rows = {row["variant"]: row for row in json.loads(done.stdout)}
    assert {name: row["runs"] for name, row in rows.items()} == {"relu": 3, "elu": 2, "tanh": 2, "average": 2}
    assert not (tmp_path / "s").exists()


def test_the_notebook_takes_what_the_command_takes() -> None:
    options = {parameter.name for parameter in command.commands["decide"].params}
    known = {*notebook.DECIDE, *notebook.REQUEST, *notebook.SHORTHANDS, *resources.ARGUMENTS, "variants"} - {"seeds"}
    assert options == known | {
        "studies",
        "assignments",
        "keep_checkpoints",
        "dry_run",
        "as_json",
        "race_only",
        "tune_rates",
    }


@pytest.mark.long
def test_a_killed_driver_on_ray_goes_on_to_the_verdicts_of_its_log(small_images: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    words = ["decide", "activation", "--variants", "elu", "--protocol", "demo", "--width", "0.0625", "--epochs", "12"]
    words += [
        "--set",
        "network.norm=batch",
        "--data",
        str(small_images),
        "--store",
        str(store),
        "--budget",
        "3m",
        "--workers",
        "2",
    ]

    def results() -> list[str]:
        logs = list((store / "decisions").glob("*.jsonl"))
        return [line for log in logs for line in log.read_text().splitlines() if '"seed"' in line]

    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen([sys.executable, "-m", "raysweep", *words], stdout=log, stderr=log)
        deadline = time.monotonic() + 240
        while len(results()) < 3 and driver.poll() is None:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = results()
    done = subprocess.run([sys.executable, "-m", "raysweep", *words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results()[: len(before)] == before
    (answer,) = json.loads(done.stdout)["answers"]
    verdicts = [json.loads(line) for line in next((store / "decisions").glob("*")).read_text().splitlines()]
    assert [row["verdict"] for row in verdicts if "verdict" in row][-1] == answer["verdict"]
    trials = [json.loads(line)["trial"] for line in results()]
    assert len(set(trials)) == len(trials) == len(Store.open(str(store)).trials(["trial"]))
