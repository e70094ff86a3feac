"""Architecture search: `search`, the search spaces, and the methods.

    from raysweep.nas import Evaluation, NASBench201, search

    def evaluate(architecture, fidelity=None):
        row = table[str(architecture)]
        return Evaluation(value=row.accuracy, cost_s=row.seconds)

    history = search(NASBench201(), evaluate, method="evolution", budget=300, seed=0)
    print(history.best.architecture, [one.value for one in history.evaluations])

Nothing here needs Ray or knows how an architecture is evaluated. Exported names do not change between versions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.nas.budget import Budget
    from raysweep.nas.cells_space import cell_space
    from raysweep.nas.driver import search
    from raysweep.nas.evaluation import Evaluated, Evaluation, LostWorkerError
    from raysweep.nas.history import History
    from raysweep.nas.limits import Limited, Limits
    from raysweep.nas.macro_space import EnasMacro
    from raysweep.nas.nasbench201_space import NASBench201
    from raysweep.nas.table_space import design_choices

__all__ = [
    "Budget",
    "EnasMacro",
    "Evaluated",
    "Evaluation",
    "History",
    "Limited",
    "Limits",
    "LostWorkerError",
    "NASBench201",
    "cell_space",
    "design_choices",
    "search",
]

HOMES = {
    "Budget": "budget",
    "EnasMacro": "macro_space",
    "Evaluated": "evaluation",
    "Evaluation": "evaluation",
    "History": "history",
    "Limited": "limits",
    "Limits": "limits",
    "LostWorkerError": "evaluation",
    "NASBench201": "nasbench201_space",
    "cell_space": "cells_space",
    "design_choices": "table_space",
    "search": "driver",
}
"""The module of each exported name. Modules are imported on first access: `import raysweep.nas` does not load numpy."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
