"""Lines of any study with made-up results, for tests of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raysweep.analysis.load import Line, load_lines
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.study import find_study
from raysweep.sweeps.study_sweep import member_rows
from tests.analysis.conftest import EPOCHS, write

Tops = Callable[[str, int], float]


def place(study: str) -> Tops:
    """Top-1 that rises with the variant's place in the study and by a hundredth a seed."""
    names = [variant.name for variant in find_study(study).variants]
    return lambda variant, seed: 0.4 + 0.4 * names.index(variant) / len(names) + 0.01 * seed


def made(
    store: Store,
    study: str,
    protocol: str = "imagenette128",
    settings: Mapping[str, Any] | None = None,
    top1: Tops | None = None,
    seeds: int = 2,
    variants: tuple[str, ...] = (),
    **ends: str,
) -> Line:
    """Write a study's trials and load its newest line; `ends` gives variants another end than finished, by name."""
    lengths = {"training.epochs": float(EPOCHS)} | dict(settings or {})
    request = Request((study,), protocol, lengths, seeds=seeds, variants=variants)
    plan = [planned for planned in request.plan() if planned.action != "omit"]
    store.write_members(member_rows(plan, study, protocol))
    value = top1 or place(study)
    for planned in plan:
        variant = planned.members[0].variant
        end = ends.get(variant, "finished")
        if end != "waiting":
            write(store, planned, end, min(0.99, value(variant, planned.recipe.seed)))
    line = plan[0].members[0].line
    return next(found for found in load_lines(store, [study]) if found.line == line)
