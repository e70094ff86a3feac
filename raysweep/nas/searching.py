"""A whole search in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import Budget, as_budget
from raysweep.nas.driver import run_in_turn, simulate
from raysweep.nas.evaluation import Evaluate
from raysweep.nas.history import History
from raysweep.nas.method import Method, make_method
from raysweep.nas.space import Space
from raysweep.nas.supernet_methods import WeightSharing, run_with_shared_weights, shared_weights

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

    `random_weight_sharing` and `enas` need an `evaluate` that has the weights, see `raysweep.nas.supernet_methods`, and
    one worker. What an architecture is worth changes with the weights: nothing is reused.

    Raises:
        RaysweepError: an unknown method or option, a log of another search, a space that the method cannot search.
    """
    made = make_method(method, options)
    run = _runner(made, evaluate, workers)
    path = None if log is None else Path(log)
    reuse = reuse and not isinstance(made, WeightSharing)
    asking = AskTell(space, made, budget=as_budget(budget), seed=seed, log=path, reuse=reuse)
    try:
        run(asking)
    finally:
        asking.close()
    return asking.history()


def _runner(method: Method, evaluate: Evaluate, workers: int) -> Callable[[AskTell[Any]], None]:
    """What carries the proposals out."""
    if workers < 1:
        raise RaysweepError(f"workers is {workers}: at least 1 is needed.")
    if isinstance(method, WeightSharing):
        if workers > 1:
            raise RaysweepError(f"workers is {workers}: weights that are shared are trained and scored by 1.")
        shared = shared_weights(evaluate, method)
        return lambda search: run_with_shared_weights(search, method, shared)
    if workers == 1:
        return lambda search: run_in_turn(search, evaluate)
    return lambda search: simulate(search, evaluate, workers)
