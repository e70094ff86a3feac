"""A user's own networks and studies: found, identified by their text, taken to workers, refused with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import raysweep
from raysweep import own_code
from raysweep.errors import InapplicableError, RaysweepError
from raysweep.identity import trial_id
from raysweep.networks import build_network
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.registry import own_parts
from raysweep.store.store import Store
from raysweep.study import find_study
from raysweep.train.task import TrialTask
from raysweep.train.work import Question
from raysweep.verbs.entry import raysweep as command

NETWORK = """
from torch import nn

def build(num_classes, in_channels=3):
    return nn.Sequential(nn.Conv2d(in_channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, num_classes))

def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1000))

def deep(num_classes, depth):
    return build(num_classes)

def nothing(num_classes):
    return 3

def failing(num_classes):
    raise KeyError("stage9")

class Pair(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes))
        self.layer[3] = nn.Linear(8 * 30 * 30, num_classes)
    def forward(self, x):
        y = self.layer(x)
        return y, y

def few(num_classes):
    return build(num_classes - 1)

def moody(num_classes):
    import random
    return nn.Sequential(build(num_classes), nn.Identity() if random.random() < 2 else None, Noise(random.random()))

class Noise(nn.Module):
    def __init__(self, value):
        super().__init__()
        import torch
        self.register_buffer("value", torch.full((1,), value))
    def forward(self, x):
        return x + self.value
"""
STUDY = """
import torch
from raysweep.nn.activations import pointwise
from raysweep.study import Study, Variant

pointwise("snake_of_test", "x + sin(x)^2", "Ziyin et al. 2020")(lambda x: x + torch.sin(x) ** 2)
STUDY = Study("mine_of_test", "Does it help?", "", "", "relu", (
    Variant("relu"),
    Variant("snake", {"network.activation": "snake_of_test"}),
    Variant("own", {"network.name": "models.py:build"}),
))
def make():
    return STUDY
def wrong():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "models.py").write_text(NETWORK)
    (made / "study.py").write_text(STUDY)
    return made


def named(folder: Path, function: str = "build") -> Recipe:
    return patch(find_protocol("demo"), {"network.name": f"{folder}/models.py:{function}", "network.width": 1.0})


def test_a_network_in_a_file_is_built_and_changed_by_the_factors(folder: Path) -> None:
    recipe = named(folder)
    assert recipe.network.name == "models.py:build"
    network = build_network(patch(recipe, {"network.activation": "elu"}).network, (3, 32, 32))
    assert not [layer for layer in network.modules() if isinstance(layer, torch.nn.ReLU)]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    wide = build_network(patch(named(folder, "plain"), {"data.preprocess": "gray"}).network, (1, 32, 32))
    assert wide(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises(InapplicableError, match=r"network\.width"):
        build_network(patch(recipe, {"network.width": 0.5}).network, (3, 32, 32))


def test_edited_code_is_another_trial_and_the_place_of_the_file_is_not(folder: Path, tmp_path: Path) -> None:
    before = trial_id(named(folder))
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "models.py").write_text(NETWORK)
    assert trial_id(named(other)) == before
    (folder / "models.py").write_text(NETWORK.replace("8, 3", "9, 3").replace("8, num", "9, num"))
    assert trial_id(named(folder)) != before
    assert patch(named(folder), {"network.name": "caffenet"}).network.source == ""


def test_a_version_of_a_package_is_part_of_the_identity() -> None:
    recipe = patch(find_protocol("demo"), {"network.name": "torchvision:resnet18"})
    assert recipe.network.source.startswith("torchvision ")
    with pytest.raises(RaysweepError, match=r"torchvision 0\.1"):
        build_network(patch(recipe, {"network.source": "torchvision 0.1"}).network, (3, 32, 32))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("models.py:bild", ("'bild'", "build")),
        ("modls.py:build", ("modls.py", "models.py")),
        ("models.py:deep", ("models.py:deep", "depth")),
        ("models.py:nothing", ("models.py:nothing", "int")),
        ("models.py:failing", ("KeyError", "stage9")),
        ("models.py:Pair", ("models.py:Pair", "tuple")),
        ("models.py:few", ("models.py:few", "10", "9")),
        ("models.py:moody", ("models.py:moody",)),
        ("broken.py:build", ("broken.py", "line 2", "ZeroDivisionError")),
        ("syntax.py:build", ("syntax.py", "line 1", "SyntaxError")),
        ("imports.py:build", ("imports.py", "not_installed_at_all", "Only this one file")),
        ("not_a_package.models:build", ("not_a_package.models",)),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_with_its_reason(
    folder: Path, name: str, values: tuple[str, ...]
) -> None:
    (folder / "broken.py").write_text("x = 1\n1 / 0\n")
    (folder / "syntax.py").write_text("def build(:\n")
    (folder / "imports.py").write_text("import not_installed_at_all\n")
    path = name if name.startswith("not_a") else f"{folder}/{name}"
    with pytest.raises(RaysweepError) as error:
        raysweep.plan("activation", protocol="demo", network=path, variants="elu", width=1)
    assert all(value in str(error.value) for value in values), error.value


def test_a_worker_that_has_no_such_file_gets_it_with_the_task(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = named(folder)
    task = TrialTask("id", recipe, "", "")
    question = Question.about(recipe, "cpu", 1)
    monkeypatch.setattr(own_code, "_known", {})
    monkeypatch.setattr(own_code, "_loaded", {})
    with pytest.raises(RaysweepError, match=r"models\.py"):
        build_network(recipe.network, (3, 32, 32))
    assert question.asked() == recipe
    build_network(recipe.network, (3, 32, 32))
    monkeypatch.setattr(own_code, "_known", {})
    own_code.unpack(task.code, recipe)
    build_network(recipe.network, (3, 32, 32))


def test_a_study_in_a_file_carries_its_layers_and_finds_networks_next_to_it(folder: Path) -> None:
    study = find_study(f"{folder}/study.py")
    base = find_protocol("demo")
    relu, snake, own = (study.variant(name).apply(base) for name in ("relu", "snake", "own"))
    assert trial_id(relu) == trial_id(base)
    assert snake.own_code == own_parts["activation", "snake_of_test"][1]
    assert patch(own, {"network.width": 1.0}) == named(folder)
    assert find_study(f"{folder}/study.py:make") == study
    (folder / "study.py").write_text(STUDY.replace("** 2", "** 4"))
    changed = find_study(f"{folder}/study.py").variant("snake").apply(base)
    assert trial_id(changed) != trial_id(snake)
    x = torch.ones(1, 1)
    (layer,) = [one for one in build_network(changed.network, (3, 32, 32)).modules() if "snake" in repr(one)][-1:]
    assert layer(x).item() == pytest.approx(1 + torch.sin(x).item() ** 4)


def test_layers_of_one_name_from_two_files_are_refused_and_an_earlier_form_comes_back(folder: Path) -> None:
    base, x = find_protocol("demo"), torch.ones(1, 1)

    def snake(name: str) -> Recipe:
        return find_study(f"{folder}/{name}").variant("snake").apply(base)

    first = snake("study.py")
    task = TrialTask("id", first, "", "")
    (folder / "other.py").write_text(STUDY.replace("mine_of_test", "other_of_test"))
    with pytest.raises(RaysweepError, match=r"other\.py.*snake_of_test"):
        snake("other.py")
    (folder / "study.py").write_text(STUDY.replace("** 2", "** 6"))
    snake("study.py")
    for code, power in ((task.code, 2), ((), 2)):
        own_code.unpack(code, first)
        (layer,) = [one for one in build_network(first.network, (3, 32, 32)).modules() if "snake" in repr(one)][-1:]
        assert layer(x).item() == pytest.approx(1 + torch.sin(x).item() ** power)


def test_a_module_that_only_a_recipe_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lies_about.py").write_text(NETWORK)
    recipe = patch(find_protocol("demo"), {"network.name": "lies_about:build", "network.width": 1.0})
    build_network(recipe.network, (3, 32, 32))
    monkeypatch.setattr(own_code, "_known", {})
    monkeypatch.delitem(sys.modules, "lies_about")
    with pytest.raises(RaysweepError, match="lies_about"):
        build_network(recipe.network, (3, 32, 32))
    assert "lies_about" not in sys.modules


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("mine_of_test", "activation", ("study.py", "activation")),
        ("snake_of_test", "relu", ("study.py", "relu")),
        ("STUDY = ", "OTHER = ", ("STUDY",)),
        ('"network.activation"', '"network.activatoin"', ("study.py", "network.activation")),
    ],
)
def test_a_study_that_cannot_be_used_is_refused(folder: Path, old: str, new: str, values: tuple[str, ...]) -> None:
    (folder / "study.py").write_text(STUDY.replace(old, new))
    with pytest.raises(RaysweepError) as error:
        find_study(f"{folder}/study.py")
    assert all(value in str(error.value) for value in values), error.value


def test_a_function_that_returns_no_study_is_refused(folder: Path) -> None:
    with pytest.raises(RaysweepError, match=r"wrong .* int"):
        find_study(f"{folder}/study.py:wrong")


@pytest.mark.parametrize(("kind", "name"), [("study", "my_question"), ("network", "my_network")])
def test_what_new_writes_can_be_planned_and_is_not_overwritten(kind: str, name: str) -> None:
    made = CliRunner().invoke(command, ["new", kind, name], catch_exceptions=False)
    assert made.stdout.strip() == f"{name}.py"
    words = [f"./{name}.py"] if kind == "study" else ["activation", "--network", f"./{name}.py:build"]
    planned = CliRunner().invoke(command, ["plan", *words, "--protocol", "demo", "--json"], catch_exceptions=False)
    rows = json.loads(planned.stdout)
    assert {row["action"] for row in rows} <= {"run", "omit"}
    assert any(row["action"] == "run" for row in rows)
    for words, value in ((["new", kind, name], f"{name}.py"), (["new", kind, "No Name"], "No Name")):
        with pytest.raises(RaysweepError, match=value):
            CliRunner().invoke(command, words, catch_exceptions=False, standalone_mode=False)


def test_own_code_runs_inline_and_says_when_it_has_changed(
    folder: Path, small_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"protocol": "demo", "data": small_images, "epochs": 1, "inline": True, "store": "own", "width": 1}
    raysweep.run(f"{folder}/study.py", variants="own", **asked)
    trials = raysweep.results(f"{folder}/study.py", store="own")
    assert set(trials["variant"]) == {"relu", "own"}
    assert "has changed" not in capsys.readouterr().err
    (folder / "models.py").write_text(NETWORK + "\n# edited\n")
    raysweep.run(f"{folder}/study.py", variants="own", **asked)
    assert "models.py:build has changed since 1 trial " in capsys.readouterr().err
    with pytest.warns(UserWarning, match="mine_of_test/own"):
        assert len(raysweep.results("mine_of_test", store="own")) == len(trials)
    assert len(Store.open("own").trials(["trial"])) == len(trials) + 1


@pytest.mark.long
def test_on_ray_the_file_travels_to_workers_that_do_not_have_it(
    folder: Path, small_images: Path, tmp_path: Path
) -> None:
    words = [f"{folder}/study.py", "--protocol", "demo", "--data", str(small_images), "--epochs", "1"]
    words += ["--width", "1", "--workers", "1", "--store", str(tmp_path / "s")]
    done = subprocess.run(
        [sys.executable, "-m", "raysweep", "run", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(raysweep.results("mine_of_test", store=tmp_path / "s")["status"]) == {"finished"}
