"""A whole search in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.adapters import run_in_turn, simulate
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import Budget, as_budget
from raysweep.nas.evaluation import Evaluate
from raysweep.nas.history import History
from raysweep.nas.method import Method, make_method
from raysweep.nas.space import Space

A = TypeVar("A")


def search(
    space: Space[A],
    evaluate: Evaluate,
    *,
    method: str | Method,
    budget: Budget | int,
    seed: int,
    workers: int = 1,
    log: str | Path | None = None,
    reuse: bool = True,
    **options: Any,
) -> History[A]:
    """Search a space for the architecture of the highest value.

    `evaluate(architecture)` returns an `Evaluation(value=..., cost_s=...)`; a method with fidelities calls
    `evaluate(architecture, fidelity=epochs)`. It is called in this process, one call after another. With more than one
    worker the calls are ordered, and results made known, as that many workers would on a virtual clock that `cost_s`
    drives.

    `method` is a name, with `options` for it, or the options of a method such as `Evolution(population=50)`. `budget`
    is a number of evaluations or a `Budget`. `log` names a file: the same call with the same file goes on where it was,
    also with a larger budget. `reuse`: equal architectures are evaluated once; an equal one counts as an evaluation
    that took no time.

    Raises:
        RaysweepError: an unknown method or option, a log of another search, a space that the method cannot search.
    """
    if workers < 1:
        raise RaysweepError(f"workers is {workers}: at least 1 is needed.")
    path = None if log is None else Path(log)
    made = make_method(method, options)
    asking = AskTell(space, made, budget=as_budget(budget), seed=seed, log=path, reuse=reuse)
    try:
        if workers == 1:
            run_in_turn(asking, evaluate)
        else:
            simulate(asking, evaluate, workers)
    finally:
        asking.close()
    return asking.history()
