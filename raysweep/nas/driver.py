"""Carries out proposals in this process, one after another or as many workers would on a virtual clock.

`search` is a whole search in one call. The other functions drive an `AskTell` and know nothing of methods; an adapter
to a cluster does the same with real workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.ask_tell import AskTell, Proposal
from raysweep.nas.budget import Budget, as_budget
from raysweep.nas.evaluation import Evaluate, Evaluation, LostWorkerError, call
from raysweep.nas.history import History
from raysweep.nas.method import Method, make_method
from raysweep.nas.methods.supernet_methods import SupernetMethod, as_supernet, run_supernet
from raysweep.nas.space import Space

A = TypeVar("A")
Lose = Callable[[Proposal[Any]], float | None]
"""The fraction of its run time (0..1) after which the worker of a proposal is lost; None: it is not lost."""


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
        workers: with more than one, calls are ordered and results become known as for that many workers on a virtual
            clock driven by `cost_s`. Methods with a supernet need 1.
        log: a file. The same call with the same file continues the search, also with a larger budget.
        reuse: evaluate equal architectures once; a repeated one counts as an evaluation that took no time. Ignored with
            a supernet, whose scores change as it is trained.
        options: options of a method given by name.

    Raises:
        RaysweepError: an unknown method or option, a log of another search, or a space that the method cannot search.
    """
    made = make_method(method, options)
    run = _runner(made, evaluate, workers)
    path = None if log is None else Path(log)
    reuse = reuse and not isinstance(made, SupernetMethod)
    asking = AskTell(space, made, budget=as_budget(budget), seed=seed, log=path, reuse=reuse)
    try:
        run(asking)
    finally:
        asking.close()
    return asking.history()


def _runner(method: Method, evaluate: Evaluate, workers: int) -> Callable[[AskTell[Any]], None]:
    """The function that carries out the proposals."""
    if workers < 1:
        raise RaysweepError(f"workers is {workers}: it must be 1 or more.")
    if isinstance(method, SupernetMethod):
        if workers > 1:
            raise RaysweepError(f"workers is {workers}: a supernet is trained and scored by 1 worker.")
        supernet = as_supernet(evaluate, method)
        return lambda search: run_supernet(search, method, supernet)
    if workers == 1:
        return lambda search: run_in_turn(search, evaluate)
    return lambda search: simulate(search, evaluate, workers)


def run_in_turn(search: AskTell[A], evaluate: Evaluate) -> None:
    """Evaluate one proposal after another until the search is over. Its clock is the time that they took.

    Raises:
        RaysweepError: `evaluate` did not return an `Evaluation`, or the log cannot be written.
    """
    while (proposal := search.ask(search.spent.cost_s)) is not None:
        try:
            ended = call(evaluate, proposal.architecture, proposal.fidelity)
        except LostWorkerError as lost:
            search.lose(proposal.number, lost.cost_s, search.spent.cost_s + lost.cost_s)
        else:
            search.tell(proposal.number, ended, search.spent.cost_s + ended.cost_s)


@dataclass(frozen=True, order=True)
class Arrival:
    """A message to the driver at a moment of virtual time: a result, or the loss of a worker after `cost_s`."""

    clock_s: float
    number: int
    ended: Evaluation | None = None
    cost_s: float = 0.0


def simulate(
    search: AskTell[A], evaluate: Evaluate, workers: int, *, barrier: bool = False, lose: Lose | None = None
) -> None:
    """Carry out the search as this many workers would, in the virtual time given by `Evaluation.cost_s`.

    A discrete-event simulation: a worker takes its next proposal as soon as it is free or, with `barrier`, once a whole
    batch has ended. An interrupted search continues exactly as it would have, if `evaluate` returns the same again.

    Raises:
        RaysweepError: `evaluate` did not return an `Evaluation`, or the log cannot be written.
    """
    arrivals: list[Arrival] = []
    now = search.clock_s
    while True:
        if not (barrier and arrivals):
            _hand_out(search, evaluate, workers, now, arrivals, lose)
        if not arrivals:
            return
        arrival = heapq.heappop(arrivals)
        now = arrival.clock_s
        if arrival.ended is None:
            search.lose(arrival.number, arrival.cost_s, now)
        else:
            search.tell(arrival.number, arrival.ended, now)


def _hand_out(
    search: AskTell[A], evaluate: Evaluate, workers: int, now: float, arrivals: list[Arrival], lose: Lose | None
) -> None:
    while len(arrivals) < workers and (proposal := search.ask(now)) is not None:
        heapq.heappush(arrivals, _arrival(proposal, evaluate, lose))


def _arrival(proposal: Proposal[A], evaluate: Evaluate, lose: Lose | None) -> Arrival:
    try:
        ended = call(evaluate, proposal.architecture, proposal.fidelity)
    except LostWorkerError as lost:
        return Arrival(proposal.issued_s + lost.cost_s, proposal.number, None, lost.cost_s)
    share = lose(proposal) if lose else None
    if share is None:
        return Arrival(proposal.issued_s + ended.cost_s, proposal.number, ended)
    return Arrival(proposal.issued_s + share * ended.cost_s, proposal.number, None, share * ended.cost_s)
