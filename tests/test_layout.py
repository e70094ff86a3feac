"""What a file of the plan may load. That no imports go in a circle is a contract of import-linter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import raysweep

PLAN = sorted(path.stem for path in Path(raysweep.__file__).parent.glob("*.py"))
LOADED = """
import importlib, sys
before = set(sys.modules)  # what the interpreter itself starts with
importlib.import_module(sys.argv[1])
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {"raysweep", "search_spaces"}))
"""


@pytest.mark.parametrize("name", PLAN)
def test_a_file_of_the_plan_loads_only_the_standard_library(name: str) -> None:
    module = "raysweep" if name == "__init__" else f"raysweep.{name}"
    done = subprocess.run([sys.executable, "-c", LOADED, module], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
