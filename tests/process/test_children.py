"""Processes that raysweep starts run nothing that lies in the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raysweep.process.children import child_environment, child_settings, environment, python_module, search_path
from tests.images import picture

LIBRARIES = ("numpy", "cv2", "PIL", "torch", "pyarrow", "pandas", "numba", "ray", "yaml", "click", "rich", "matplotlib")
PYTHONS = (
    "signal",
    "types",
    "json",
    "socket",
    "struct",
    "random",
    "warnings",
    "runpy",
    "sitecustomize",
    "usercustomize",
)
PACKAGE = Path(__file__).resolve().parents[2] / "raysweep"
Plant = Callable[[], list[str]]


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Go to a folder of modules that write down their names; returns those that have been imported."""
    folder, log = tmp_path / "images", tmp_path / "executed"
    folder.mkdir()
    for name in (*LIBRARIES, *PYTHONS):
        (folder / f"{name}.py").write_text(f"with open({str(log)!r}, 'a') as log: print(__name__, file=log)\n")
    monkeypatch.chdir(folder)
    return lambda: log.read_text().split() if log.exists() else []


def run(words: list[str], settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=settings, capture_output=True, text=True)


def test_the_plants_are_executed_by_a_plain_child(executed: Plant) -> None:
    run([sys.executable, "-m", "raysweep.train.probe"], dict(os.environ))
    assert executed()


@pytest.mark.parametrize("path", ["", ":/nowhere"])
def test_modules_are_started_without_the_working_directory(
    path: str, executed: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(sys, "path", ["", str(Path.cwd()), *sys.path])
    done = run(python_module("raysweep.store.provenance"), child_environment())
    assert (done.returncode, done.stderr) == (0, "")
    # Neither do the processes that such a process, or a library, starts.
    code = "import json, subprocess, sys; subprocess.run([sys.executable, '-c', 'import json, numpy'], check=True)"
    with environment(child_settings()):
        done = run([sys.executable, "-c", code], dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert executed() == []


@pytest.mark.parametrize("program", [("-m", "raysweep", "plan"), (str(PACKAGE / "run.py"),)])
def test_libraries_are_not_searched_in_the_working_directory(program: tuple[str, ...], executed: Plant) -> None:
    """Python itself puts it first for `python -m`, and has loaded its own modules before raysweep can intervene."""
    for name in PYTHONS:
        Path(f"{name}.py").unlink()
    done = run([sys.executable, *program, "--help"], dict(os.environ))
    assert (done.returncode, executed()) == (0, []), done.stderr


def test_what_the_user_names_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/usr/lib/python"])
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert search_path() == ["/usr/lib/python"]
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    assert search_path() == [str(tmp_path), "/usr/lib/python"]
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr("raysweep.process.children.OWN", tmp_path)  # a notebook in a checkout
    assert search_path() == [str(tmp_path), "/usr/lib/python"]


def test_python_is_started_in_one_place() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if "sys.executable" in path.read_text()]
    assert {path.relative_to(PACKAGE).as_posix() for path in files} == {"process/children.py", "verbs/doctor.py"}


SWEEP = ("activation", "--protocol", "demo", "--variants", "tanh", "--epochs", "1")
NO_HOME = {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": ""}
"""As in a container that runs with any user id."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "settings"), [(("raysweep",), {}), (("python", "-P", "-m", "raysweep"), NO_HOME)], ids=str
)
def test_no_verb_executes_what_lies_in_the_working_directory(
    program: tuple[str, ...], settings: dict[str, str], executed: Plant, tmp_path: Path
) -> None:
    for number, name in enumerate(("train/a", "train/b", "val/a", "val/b")):
        Path(name).mkdir(parents=True)
        picture(seed=number).save(f"{name}/picture.png")
    command, *words = program
    images, store, out = (str(tmp_path / name) for name in ("demo", "store", "report"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | settings
    for verb in (
        ["data", "write", ".", str(tmp_path / "set"), "--side", "16"],
        ["bench", "networks", "resnet20_cifar", "--repeats", "1", "--batch-size", "2"],
        ["plan", *SWEEP, "--data", images],
        ["run", *SWEEP, "--data", images, "--seeds", "1", "--store", store],
        ["report", "activation", "--store", store, "--out", out],
    ):
        done = run([str(Path(sys.executable).with_name(command)), *words, *verb], environment)
        assert (done.returncode, executed()) == (0, []), (verb, done.stderr)
        assert "Traceback" not in done.stderr
