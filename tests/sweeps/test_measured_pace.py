"""Measuring how fast a machine trains; the measuring processes themselves run in the long test only."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json, recipe_json
from raysweep.pace import Pace, keep, recalled
from raysweep.request import Request
from raysweep.sweeps import measured_pace
from raysweep.sweeps.measured_pace import pace_here, workers_on_cpus
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_sweep import time_here
from raysweep.train import pace as train_pace
from raysweep.train.pace import Rates
from raysweep.train.work import Question
from raysweep.verbs.entry import raysweep as command

SMALL = {"network.width": 0.0625}
DEMO = Request(("activation",), protocol="demo", settings=SMALL, variants=("elu",))
PACE = Pace(1000.0, 5000.0, start_s=0.5, macs=10**6, workers=3, measured="2026-11-30")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What is measured: digest of the images in the folder, their side, and the trials at once."""
    calls: list[tuple[str, int, int]] = []

    def rates(question: Question, folder: Path, at_once: int) -> Rates:
        manifest = read_manifest(folder)
        assert recipe_from_json(question.recipe).network.width == 0.0625
        calls.append((manifest.digest, manifest.short_side, at_once))
        return Rates(100.0, 300.0, 0.1)

    monkeypatch.setattr(train_pace, "rates", rates)
    return calls


def ignore(_text: str) -> None:
    pass


def test_a_pace_is_measured_once_and_again_if_asked_to(asked: list[tuple[str, int, int]], small_images: Path) -> None:
    notes: list[str] = []
    mine = replace(DEMO, data=small_images)
    pace = pace_here(mine, notes.append)
    assert (pace.train_images_per_s, pace.test_images_per_s, pace.workers) == (100.0, 300.0, asked[0][2])
    assert notes
    assert pace_here(mine, ignore) == pace == recalled(mine.baseline())
    assert len(asked) == 1
    pace_here(mine, ignore, again=True)
    assert len(asked) == 2


def test_images_are_the_users_or_generated_of_the_same_side(
    asked: list[tuple[str, int, int]], small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_pace, "GENERATED_TRAIN", 20)
    monkeypatch.setattr(measured_pace, "GENERATED_TEST", 10)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pace_here(DEMO, ignore)
    pace_here(replace(DEMO, data=small_images), ignore)
    (generated, side, _), (digest, my_side, _) = asked
    assert digest == read_manifest(small_images).digest != generated
    assert side == my_side == 36
    assert not list(tmp_path.glob("raysweep-*")), "generated images are removed"


def test_a_failed_measurement_is_refused_and_not_remembered(
    small_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(DEMO, data=small_images)

    def fail(*_: object) -> Rates:
        raise RuntimeError("RaysweepError: out of the machine's memory")

    monkeypatch.setattr(train_pace, "rates", fail)
    with pytest.raises(RaysweepError, match="machine's memory"):
        pace_here(mine, ignore)
    assert recalled(mine.baseline()) is None


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_pace, "usable_cores", lambda: 4)
    assert [workers_on_cpus(threads) for threads in (2, 3, 4, 9)] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("resources", "trials"), [(Resources(), 3), (Resources(workers=2), 2), (Resources(inline=True, workers=2), 1)]
)
def test_a_sweep_says_how_long_it_takes_here(resources: Resources, trials: int) -> None:
    assert time_here(DEMO, resources, DEMO.plan()) == ""
    keep(DEMO.baseline(), 1, PACE)
    assert f" here ({trials} trial(s) at a time; measured 2026-11-30)" in time_here(DEMO, resources, DEMO.plan())
    assert time_here(DEMO, resources, []) == ""


def test_a_sweep_elsewhere_says_nothing_of_here(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(DEMO.baseline(), 1, PACE)
    assert time_here(DEMO, Resources(address="10.0.0.1:6379"), DEMO.plan()) == ""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert time_here(DEMO, Resources(), DEMO.plan()) == ""


def test_a_plan_has_the_time_here_once_it_is_measured(asked: list[tuple[str, int, int]], small_images: Path) -> None:
    words = ["plan", "activation", "--protocol", "demo", "--width", "0.0625", "--variants", "elu"]
    words += ["--data", str(small_images)]
    before = CliRunner().invoke(command, words).output
    assert "--measure" in before
    assert "GPU time" in before
    measured = CliRunner().invoke(command, [*words, "--measure"]).output
    assert asked
    assert CliRunner().invoke(command, words).output in measured
    assert " here (" in measured
    assert "GPU" not in measured
    rows = json.loads(CliRunner().invoke(command, [*words, "--json"]).output)
    updates = round(4 * 300 / 32)
    assert rows[0]["estimated_here_s"] == pytest.approx(0.1 + 32 * updates / 100 + 4 * 100 / 300)


@pytest.mark.long
def test_real_trials_are_measured_two_at_a_time(small_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_pace, "SECONDS", {"train": 0.3, "test": 0.1})
    request = Request(("activation",), protocol="demo", settings=SMALL, data=small_images)
    question = Question(recipe_json(request.baseline()), "cpu", 1)
    found = train_pace.rates(question, small_images, 2)
    assert min(found.train_images_per_s, found.start_s) > 0
    assert found.test_images_per_s > found.train_images_per_s
    few = Request(("activation",), protocol="demo", settings={"network.outputs": 2}).baseline()
    with pytest.raises(RuntimeError, match="outputs.*2"):
        train_pace.rates(Question(recipe_json(few), "cpu", 1), small_images, 1)
