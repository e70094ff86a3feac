"""What files of the plan load, and the files that pages name. Circles of imports are a contract in pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import raysweep

ROOT = Path(__file__).resolve().parents[1]
PLAN = sorted(path.stem for path in Path(raysweep.__file__).parent.glob("*.py"))
LOADED = """
import importlib, sys
before = set(sys.modules)  # what the interpreter itself starts with
importlib.import_module(sys.argv[1])
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {"raysweep"}))
"""


@pytest.mark.parametrize("name", PLAN)
def test_a_file_of_the_plan_loads_only_the_standard_library(name: str) -> None:
    module = "raysweep" if name == "__init__" else f"raysweep.{name}"
    done = subprocess.run([sys.executable, "-c", LOADED, module], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_pages_name_files_that_exist(page: str) -> None:
    named = re.findall(r"`((?:raysweep|analysis|benchmarks|search_spaces|tests|cluster|docs)/[\w./-]+)`", read(page))
    assert [path for path in named if "STUDY" not in path and not (ROOT / path).exists()] == []


def test_the_map_of_contributing_has_every_folder() -> None:
    text = read("CONTRIBUTING.md")
    folders = {path.parent.name for path in (ROOT / "raysweep").glob("*/__init__.py")}
    assert [name for name in sorted(folders) if f"`raysweep/{name}/`" not in text and f"`{name}/`" not in text] == []


def read(page: str) -> str:
    return (ROOT / page).read_text()
