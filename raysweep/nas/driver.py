"""Who carries proposals out: one after another, or any number of workers on a virtual clock.

Both drive an `AskTell` and know nothing of methods; an adapter to a cluster does the same with real workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from raysweep.nas.ask_tell import AskTell, Proposal
from raysweep.nas.evaluation import Evaluate, Evaluation, LostWorkerError, call

A = TypeVar("A")
Lose = Callable[[Proposal[Any]], float | None]
"""Share of its time (0..1) after which the worker of a proposal is lost; none: it is not."""


def run_in_turn(search: AskTell[A], evaluate: Evaluate) -> None:
    """Evaluate one proposal after another until the search is over; its clock is the time they took.

    Raises:
        RaysweepError: `evaluate` returned something else than an `Evaluation`, or the log cannot be written.
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
    """What reaches the driver at a moment of virtual time: a result, or word that a worker is lost after `cost_s`."""

    clock_s: float
    number: int
    ended: Evaluation | None = None
    cost_s: float = 0.0


def simulate(
    search: AskTell[A], evaluate: Evaluate, workers: int, *, barrier: bool = False, lose: Lose | None = None
) -> None:
    """Carry the search out as so many workers would, in the virtual time that `Evaluation.cost_s` says.

    A discrete-event simulation: a worker takes its next proposal the moment it is free, or, with `barrier`, when all of
    a batch are. A search that was interrupted goes on exactly as it would have, if `evaluate` gives the same again.

    Raises:
        RaysweepError: `evaluate` returned something else than an `Evaluation`, or the log cannot be written.
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
