from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.data.image_sets import ImageSets
from raysweep.data.manifest import Manifest
from raysweep.patch import patch
from raysweep.planning import Found, make_plan, needing
from raysweep.protocols import find_protocol
from raysweep.study import find_studies, find_study
from raysweep.terminal.plans import WIDTH, plan_text
from raysweep.terminal.tables import table, wrapped

DEMO = find_protocol("demo")


def test_settings_are_printed_once_and_changes_are_from_the_studys_own_baseline() -> None:
    baseline = patch(DEMO, {"network.width": 0.5, "solver.lr": 0.02})
    plan = make_plan([find_study("batch_size").only(["bs512_lr0_01"])], baseline, [0], protocol=DEMO)
    text = plan_text(plan, DEMO)
    assert text.count("network.width=0.5") == 1
    lines = text.splitlines()
    assert lines[0].startswith("batch_size: baseline ")
    assert "settings: network.width=0.5 solver.lr=0.02" in lines
    unchanged = [line.split()[1] for line in lines if line.endswith(" -")]
    assert unchanged == [find_study("batch_size").baseline]
    assert "training.batch_size=" in text


def test_a_column_of_equal_values_moves_into_the_heading() -> None:
    same = plan_text(make_plan([find_study("activation").only(["elu"])], DEMO, [0]), DEMO)
    assert "seed 0" in same.splitlines()[0]
    assert "seed" not in same.splitlines()[2].split()
    seeds = plan_text(make_plan([find_study("activation").only(["elu"])], DEMO, [0, 1]), DEMO)
    (header,) = (line for line in seeds.splitlines() if line.startswith("trial"))
    assert "seed" in header.split()


def test_a_trial_of_two_studies_is_printed_once_with_the_other_study() -> None:
    plan = make_plan(find_studies(["activation", "pooling"]), DEMO, [0])
    text = plan_text(plan, DEMO)
    shared = next(planned for planned in plan if len(planned.members) > 1)
    assert text.count(shared.trial) == 1
    assert any("relu" in line and "pooling" in line for line in text.splitlines())


def test_long_reasons_follow_the_table() -> None:
    study = find_study("activation").only(["elu"])
    trial = make_plan([study], DEMO, [0])[1].trial
    found = {trial: Found("failed", attempts=2, error="RuntimeError: the images have the wrong number of channels")}
    plan = make_plan([study], DEMO, [0], found=found)
    *_, last = plan_text(plan, DEMO).splitlines()
    assert "retry elu" in last
    assert "wrong number of channels" in last
    finished = make_plan([study], DEMO, [0], found={trial: replace(found[trial], status="finished")})
    assert "skip: finished" in plan_text(finished, DEMO)


@pytest.mark.parametrize("settings", [{}, {"network.name": "resnet18", "data.train_fraction": 0.25, "solver.lr": 0.3}])
def test_every_shipped_plan_fits_a_terminal(settings: dict[str, object]) -> None:
    protocol = find_protocol("imagenet128")
    studies = find_studies(["all"]) if not settings else [find_study("activation")]
    plan = make_plan(studies, patch(protocol, settings), [0, 1], protocol=protocol)
    assert max(map(len, plan_text(plan, protocol).splitlines())) <= WIDTH


def test_words_that_are_too_long_break_where_they_can() -> None:
    assert wrapped("a=1 network.widths=96,256,384", 20) == ["a=1", "network.widths=96,", "256,384"]
    assert wrapped("x" * 45, 20) == ["x" * 19, "x" * 19, "x" * 7]
    assert table(("a", "b"), [("1", "one two three four five")], width=23) == ("a  b\n1  one two three four\n   five")


def test_a_command_has_a_line_of_its_own(tmp_path: Path) -> None:
    sets = ImageSets(tmp_path / "my  images of a long name, which a paragraph would wrap somewhere in the middle")
    sets._manifests[sets.folder] = Manifest(1, "mine", "photos", (), 100, "jpg", 90, "digest", {})
    plan = make_plan([find_study("image_size")], DEMO, [0])
    needed = [needing(planned, sets.need(planned.recipe.data)) for planned in plan]
    commands = [line.strip() for line in plan_text(needed, DEMO).splitlines() if line.strip().startswith("raysweep ")]
    sides = {planned.recipe.data.short_side for planned in plan}
    assert {tuple(shlex.split(line)) for line in commands} == {
        ("raysweep", "data", "write", "SOURCE", f"{sets.folder}/short{side}", "--side", str(side)) for side in sides
    }
