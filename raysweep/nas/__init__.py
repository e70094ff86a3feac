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
