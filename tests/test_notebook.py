"""The functions of `import raysweep`: the arguments of the command line, in Python's types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import raysweep
from raysweep import notebook
from raysweep.errors import RaysweepError
from raysweep.sweeps import resources
from raysweep.verbs.entry import raysweep as command

SMALL: dict[str, Any] = {"protocol": "demo", "width": 0.0625, "epochs": 1, "variants": "elu"}


@pytest.mark.parametrize(
    "name", ["plan", "run", "results", "report", "gains", "take_home", "compare", "init_stats", "decide"]
)
def test_functions_shadow_no_module_and_teach_by_example(name: str) -> None:
    function = getattr(raysweep, name)
    assert callable(function)
    # run.py is the script that `ray submit` starts; nothing imports it.
    code = f"import raysweep, raysweep.verbs.entry, raysweep.sweeps.study_sweep as s; assert callable(raysweep.{name})"
    subprocess.run([sys.executable, "-c", code], check=True)
    if name in ("plan", "run", "decide", "results", "report"):
        assert f"raysweep.{name}(" in function.__doc__


def test_run_takes_what_the_command_takes() -> None:
    options = {parameter.name for parameter in command.commands["run"].params} - {"studies", "assignments"}
    assert options == {*notebook.ARGUMENTS, *resources.ARGUMENTS, "keep_checkpoints"} - {"settings"}


def test_values_have_the_types_that_python_users_pass(small_images: Path, tmp_path: Path) -> None:
    as_text = raysweep.plan("activation", **SMALL, data=str(small_images), store=tmp_path / "s", classes="10")
    as_objects = raysweep.plan(
        "activation", **SMALL | {"variants": ["elu"]}, data=small_images, store=str(tmp_path / "s")
    )
    assert [planned.trial for planned in as_text] == [planned.trial for planned in as_objects]
    assert [planned.members[0].variant for planned in as_text] == ["relu", "elu"]


def test_a_search_space_is_planned_by_the_same_function() -> None:
    points = raysweep.plan("joint", protocol="cifar10", trials=4, search_seed=3)
    assert len(points) == 4
    assert points[0].to_json()["studies"] == [{"study": "joint", "variant": "baseline"}]


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({"epoch": 3}, ("'epoch'", "epochs")),
        ({"epochs": "many"}, ("epochs", "'many'")),
        ({"trials": 3}, ("--trials", "joint")),
        ({"protocol": "cifar"}, ("'cifar'", "cifar10")),
    ],
)
def test_arguments_that_cannot_be_used_are_named(arguments: dict[str, Any], values: tuple[str, ...]) -> None:
    with pytest.raises(RaysweepError) as error:
        raysweep.plan("activation", **arguments)
    assert all(value in str(error.value) for value in values), error.value


def test_run_trains_and_report_returns_its_page(
    small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s"
    outcome = raysweep.run("activation", **SMALL, data=small_images, store=store, inline=True, threads=1, attempts=1)
    assert len(outcome.finished) == 2
    assert "2 trials" in capsys.readouterr().err
    assert raysweep.run("activation", **SMALL, data=small_images, store=store, inline=True).finished == ()
    assert set(raysweep.results("activation", store=store)["variant"]) == {"relu", "elu"}
    page = raysweep.report("activation", store=store, out=tmp_path / "report")
    assert page.is_file()
    assert page.suffix == ".html"
