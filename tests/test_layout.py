"""Where code may stand: what a file of the plan may load, and that no imports go in a circle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import grimp
import pytest

import raysweep

PACKAGES = ("raysweep", "search_spaces", "analysis")
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


@cache
def import_graph() -> grimp.ImportGraph:
    """Imports inside functions count, those for type checkers do not."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def circles(imports: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Nodes that reach each other, by Warshall's closure of what each node imports."""
    reached = {node: {other for other in others if other in imports} for node, others in imports.items()}
    for middle, beyond in reached.items():
        for found in reached.values():
            if middle in found:
                found |= beyond
    circular = {node for node, found in reached.items() if node in found}
    groups = {frozenset(other for other in reached[node] if node in reached[other]) for node in circular}
    return sorted(map(set, groups), key=sorted)


def test_circles_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["d"]}) == [{"a", "b", "c"}]


def test_no_modules_import_each_other() -> None:
    graph = import_graph()
    found = circles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert not found, "\n".join(" <> ".join(sorted(circle)) for circle in found)


@pytest.mark.parametrize("package", ["raysweep", "analysis"])
def test_no_parts_of_a_package_import_each_other(package: str) -> None:
    """A part is a file, or a folder with all that is in it; also within each folder."""
    parents = (package, *sorted(import_graph().find_descendants(package)))
    found = [circle for parent in parents for circle in circles(parts_of(parent))]
    assert not found, "\n".join(" <> ".join(sorted(circle)) for circle in found)


def parts_of(package: str) -> dict[str, set[str]]:
    """For every child of a package the other children that it imports, directly or by what is below it."""
    graph = import_graph()
    children = graph.find_children(package)
    inside = {child: {child, *graph.find_descendants(child)} for child in children}
    owner = {module: child for child, modules in inside.items() for module in modules}
    return {
        child: {
            owner[imported]
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module)
            if imported in owner and owner[imported] != child
        }
        for child, modules in inside.items()
    }
