"""After an upgrade of Ray: one failing test for each private name that is gone, which names it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import ray

from raysweep.orchestrate import ray_private
from raysweep.orchestrate.ray_private import ATTRIBUTES, NAMES, SETTINGS, THREAD_TIMEOUT
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS

pytestmark = RAYS_OWN_WARNINGS
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_ray_has_the_name(name: str) -> None:
    assert getattr(ray_private, name) is not None


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in ATTRIBUTES.items() for name in names])
def test_ray_has_the_attribute(owner: str, name: str) -> None:
    module, _, of_module = owner.partition(":")
    found = import_module(module)
    found = getattr(found, of_module) if of_module else found
    assert hasattr(found, name) or f"self.{name}" in inspect.getsource(found), f"{owner} has no {name}"


@cache
def ray_source() -> str:
    packages = [Path(ray.__file__).parent / name for name in ("tune", "train")]
    return "".join(path.read_text() for package in packages for path in package.rglob("*.py"))


@pytest.mark.parametrize("name", [*SETTINGS, THREAD_TIMEOUT])
def test_ray_reads_the_environment_variable(name: str) -> None:
    assert f'"{name}"' in ray_source()


def test_importing_the_file_needs_no_ray() -> None:
    code = "import sys, raysweep.orchestrate.ray_private; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_private_names_are_used_nowhere_else() -> None:
    """What a text search can find: private modules, and modules that Ray's documentation does not list."""
    own = {Path(__file__), REPOSITORY / "raysweep/orchestrate/ray_private.py"}
    folders = (REPOSITORY / name for name in ("raysweep", "benchmarks", "tests/orchestrate"))
    files = {path for folder in folders for path in folder.rglob("*.py")}
    private = ("ray._", "from ray.train.v2", 'import_module("ray.', "ray.cluster_utils", "progress_reporter")
    for path in files - own:
        assert not [word for word in private if word in path.read_text()], path
