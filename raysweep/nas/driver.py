"""Carries out proposals in this process, as one or many workers would on a virtual clock.

`search` is a whole search in one call. `simulate` drives an `AskTell` and knows nothing of methods; an adapter to a
cluster does the same with real workers.
"""

from __future__ import annotations

import heapq
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.ask_tell import AskTell, Proposal
from raysweep.nas.budget import Budget
from raysweep.nas.evaluation import Evaluate, Evaluation, LostWorkerError, call
from raysweep.nas.history import History
from raysweep.nas.method import Method, make_method
from raysweep.nas.methods.supernet_methods import SupernetMethod, check_supernet, run_supernet
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
    """Search a space for the architecture with the highest value.

    Args:
        space: the search space, see `raysweep.nas.space.Space`.
        evaluate: called as `evaluate(architecture)`, or `evaluate(architecture, fidelity=epochs)` by methods with
            fidelities; returns an `Evaluation(value=..., cost_s=...)`. Calls run in this process, one at a time. The
            methods `random_weight_sharing` and `enas` need a supernet here, see
            `raysweep.nas.methods.supernet_methods`.
        method: a name, or the options of a method such as `Evolution(population=50)`.
        budget: a number of evaluations, or a `Budget`.
        seed: of the search; equal seeds give equal searches.
        workers: calls are ordered and results become known as for this many workers on a virtual clock driven by
            `cost_s`. Methods with a supernet need 1.
        log: a file. The same call with the same file continues the search, also with a larger budget.
        reuse: evaluate equal architectures once; a repeated one counts as an evaluation that took no time. Ignored with
            a supernet, whose scores change as it is trained.
        options: options of a method given by name.

    Raises:
        RaysweepError: an unknown method or option, a log of another search, or a space that the method cannot search.
    """
    made, limits = make_method(method, options), budget if isinstance(budget, Budget) else Budget(evaluations=budget)
    if workers < 1:
        raise RaysweepError(f"workers is {workers}: it must be 1 or more.")
    if isinstance(made, SupernetMethod):
        check_supernet(evaluate, made, workers)
        reuse = False
    path = None if log is None else Path(log)
    with closing(AskTell(space, made, budget=limits, seed=seed, log=path, reuse=reuse)) as asking:
        if isinstance(made, SupernetMethod):
            supernet: Any = evaluate
            run_supernet(asking, made, supernet)
        else:
            simulate(asking, evaluate, workers)
    return asking.history()


@dataclass(frozen=True, order=True)
class Arrival:
    """A message to the driver at a moment of virtual time: a result, or the loss of a worker after `cost_s`."""

    clock_s: float
    number: int
    ended: Evaluation | None = None
    cost_s: float = 0.0


def simulate(search: AskTell[A], evaluate: Evaluate, workers: int) -> None:
    """Carry out the search as this many workers would, in the virtual time given by `Evaluation.cost_s`.

    A discrete-event simulation: a worker takes its next proposal as soon as it is free. An interrupted search continues
    exactly as it would have, if `evaluate` returns the same again.

    Raises:
        RaysweepError: `evaluate` did not return an `Evaluation`, or the log cannot be written.
    """
    arrivals: list[Arrival] = []
    now = search.clock_s
    while True:
        while len(arrivals) < workers and (proposal := search.ask(now)) is not None:
            heapq.heappush(arrivals, _arrival(proposal, evaluate))
        if not arrivals:
            return
        arrival = heapq.heappop(arrivals)
        now = arrival.clock_s
        if arrival.ended is None:
            search.lose(arrival.number, arrival.cost_s, now)
        else:
            search.tell(arrival.number, arrival.ended, now)


def _arrival(proposal: Proposal[A], evaluate: Evaluate) -> Arrival:
    try:
        ended = call(evaluate, proposal.architecture, proposal.fidelity)
    except LostWorkerError as lost:
        return Arrival(proposal.issued_s + lost.cost_s, proposal.number, None, lost.cost_s)
    return Arrival(proposal.issued_s + ended.cost_s, proposal.number, ended)
