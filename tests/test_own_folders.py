"""A user's own folders and files of the names that this repository has hide nothing of raysweep, and are not hidden."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "docs" / "study" / "store"
OWN = ("analysis", "search_spaces", "benchmarks", "tests")
SCRIPT = f"""
import importlib
for name in {OWN}:
    assert importlib.import_module(name + ".mine").MINE == name, name
import raysweep
assert len(raysweep.gains("activation", store={str(STORE)!r})) > 20
import raysweep.analysis, raysweep.search_spaces
print(raysweep.__file__)
"""


@pytest.fixture(params=["packages", "plain folders"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A user's folder with folders of the same names as ours, with or without __init__.py, and one called raysweep."""
    for name in OWN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"MINE = {name!r}\n")
        if request.param == "packages":
            (tmp_path / name / "__init__.py").touch()
    (tmp_path / "raysweep" / "results").mkdir(parents=True)
    (tmp_path / "go.py").write_text(SCRIPT)
    return tmp_path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` of this repository puts into site-packages."""
    place = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run(command, check=True, timeout=600)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


@pytest.mark.long
def test_a_wheel_installs_one_package(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"raysweep"}
    for name in ("analysis", "search_spaces"):
        ours = {path.relative_to(ROOT / name) for path in (ROOT / name).rglob("*.*") if "__pycache__" not in path.parts}
        there = {
            path.relative_to(installed / "raysweep" / name) for path in (installed / "raysweep" / name).rglob("*.*")
        }
        assert there == ours


@pytest.mark.long
@pytest.mark.parametrize("words", [["go.py"], ["-c", SCRIPT]], ids=["script", "notebook"])
@pytest.mark.parametrize("where", ["wheel", "clone"])
def test_a_users_folders_and_ours_do_not_meet(
    folder: Path, words: list[str], where: str, request: pytest.FixtureRequest
) -> None:
    done = run(folder, words, request.getfixturevalue("installed") if where == "wheel" else None)
    assert done.returncode == 0, done.stderr
    if where == "wheel":
        assert done.stdout.startswith(str(request.getfixturevalue("installed")))


@pytest.mark.long
def test_a_report_is_written_among_a_users_folders(folder: Path, installed: Path) -> None:
    done = run(folder, ["-m", "raysweep", "report", "activation", "--store", str(STORE), "--out", "page"], installed)
    assert done.returncode == 0, done.stderr
    assert "activation" in (folder / "page" / "report.html").read_text()


def run(folder: Path, words: list[str], site: Path | None) -> subprocess.CompletedProcess[str]:
    """Python in a user's folder; without a site, it finds raysweep as the set-up of this clone has installed it."""
    settings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    if site:
        settings["PYTHONPATH"] = str(site)
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=600)
