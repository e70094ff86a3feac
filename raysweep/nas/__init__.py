"""Architecture search: `search` a space with a method, and the spaces and methods there are.

    from raysweep.nas import Evaluation, NASBench201, search

    def evaluate(architecture, fidelity=None):
        row = table[str(architecture)]
        return Evaluation(value=row.accuracy, cost_s=row.seconds)

    history = search(NASBench201(), evaluate, method="evolution", budget=300, seed=0)
    print(history.best.architecture, [one.value for one in history.evaluations])

Nothing here needs Ray or knows what an evaluation is. What is exported here stays as it is between versions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.nas.bits_space import BitString
    from raysweep.nas.budget import Budget
    from raysweep.nas.cells_space import cell_space
    from raysweep.nas.evaluation import Evaluated, Evaluation, LostWorkerError
    from raysweep.nas.history import History
    from raysweep.nas.limits import Limits
    from raysweep.nas.macro_space import EnasMacro
    from raysweep.nas.nasbench201_space import NASBench201
    from raysweep.nas.searching import search
    from raysweep.nas.table_space import design_choices

__all__ = [
    "BitString",
    "Budget",
    "EnasMacro",
    "Evaluated",
    "Evaluation",
    "History",
    "Limits",
    "LostWorkerError",
    "NASBench201",
    "cell_space",
    "design_choices",
    "search",
]

HOMES = {
    "BitString": "bits_space",
    "Budget": "budget",
    "EnasMacro": "macro_space",
    "Evaluated": "evaluation",
    "Evaluation": "evaluation",
    "History": "history",
    "Limits": "limits",
    "LostWorkerError": "evaluation",
    "NASBench201": "nasbench201_space",
    "cell_space": "cells_space",
    "design_choices": "table_space",
    "search": "searching",
}
"""The file of each; loaded when it is asked for, so that the genotypes of networks cost no numpy."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
