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

from raysweep.nas.bits import BitString
from raysweep.nas.budget import Budget
from raysweep.nas.cells import cell_space
from raysweep.nas.design_choices import design_choices
from raysweep.nas.enas_macro import EnasMacro
from raysweep.nas.evaluation import Evaluated, Evaluation, LostWorkerError
from raysweep.nas.history import History
from raysweep.nas.limits import Limits
from raysweep.nas.nasbench201 import NASBench201
from raysweep.nas.searching import search

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
