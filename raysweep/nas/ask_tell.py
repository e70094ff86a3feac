"""A search with an ask-and-tell interface, whose state follows from its log.

Proposal k depends only on random numbers keyed by (seed, k) and on the events before it in the log. Replaying a log
therefore gives bit-identical proposals, and resuming is replaying. Proposals that were in flight when a driver died are
handed out again under the same numbers; a result that arrives twice counts once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.budget import Budget, Spent
from raysweep.nas.evaluation import FAILED, Evaluated, Evaluation, Status, settled
from raysweep.nas.history import History
from raysweep.nas.log import Event, EventLog, OpenLog
from raysweep.nas.method import Candidate, Method, method_text
from raysweep.nas.space import Space, randomness, space_name

A = TypeVar("A")

MAX_ATTEMPTS = 3
"""Attempts at one evaluation before it counts as lost."""
DRAWS = 2**63
"""Random streams from this number on belong to `draw`, those below to proposals."""
REPEATS = 1000
"""Proposals in a row with known results after which a space counts as exhausted."""


@dataclass(frozen=True)
class Proposal(Generic[A]):
    """An architecture to evaluate."""

    number: int
    """Its identity in `tell`; it survives a crash."""
    architecture: A
    key: str
    fidelity: float | None = None
    issued_s: float = 0.0
    """When it was handed out, on the clock of the search: when it was asked for, or when the last attempt was lost."""
    attempt: int = 1
    """Number of the attempt at evaluating it, counted from 1; the earlier ones were lost."""


@dataclass
class Open(Generic[A]):
    """A proposal in flight."""

    proposal: Proposal[A]
    cost_s: float = 0.0
    """Seconds spent on attempts that were lost."""
    equals: list[Proposal[A]] = field(default_factory=list)
    """Later proposals of an equal architecture, which wait for this result."""


class AskTell(Generic[A]):
    """A search in progress. Not thread-safe."""

    def __init__(
        self,
        space: Space[A],
        method: Method,
        *,
        budget: Budget,
        seed: int,
        log: Path | OpenLog | None = None,
        reuse: bool = True,
    ) -> None:
        """Begin, or continue where the log ends.

        Args:
            space: the search space.
            method: the options of a search method.
            budget: the limits of the search.
            seed: of all random numbers.
            log: a file, or a function that opens another kind of log.
            reuse: evaluate equal architectures once.

        Raises:
            RaysweepError: an invalid seed, a space that the method cannot search, or an unusable log.
        """
        if not 0 <= seed < 2**64:
            raise RaysweepError(f"seed is {seed}: it must be an integer from 0 to 2**64 - 1.")
        self.budget, self.method = budget, method
        self.spent = Spent()
        self.evaluations: list[Evaluated[A]] = []
        self._space, self._seed, self._reuse = space, seed, reuse
        self._proposer = method.begin(space)
        self._next, self._repeats = 0, 0
        self._open: dict[int, Open[A]] = {}
        self._leaders: dict[tuple[str, float | None], Open[A]] = {}
        self._known: dict[tuple[str, float | None], Evaluated[A]] = {}
        self._again: deque[int] = deque()
        self._in_flight = 0
        identity = {"space": space_name(space), "method": method_text(method), "seed": seed, "reuse": reuse}
        open_log = partial(EventLog, log) if isinstance(log, Path) else log
        self._log = open_log(identity) if open_log else None
        try:
            for event in self._log.events if self._log else ():
                self._replay(event)
        except BaseException:
            self.close()
            raise
        self._again = deque(self._open)

    @property
    def clock_s(self) -> float:
        """Time at which the last proposal ended, on the clock of the search."""
        return self.evaluations[-1].clock_s if self.evaluations else 0.0

    @property
    def in_flight(self) -> list[Proposal[A]]:
        """Proposals that have been made and have not ended, including those to be handed out again."""
        return [open_.proposal for open_ in self._open.values()]

    def ask(self, clock_s: float = 0.0) -> Proposal[A] | None:
        """The next proposal. None if the budget is spent, or if the method needs a result that is outstanding.

        Lost proposals come first. If nothing is in flight, None means that the search is over.

        Raises:
            RaysweepError: the log cannot be written.
        """
        while self._again:
            number = self._again.popleft()
            if number in self._open:
                return self._open[number].proposal
        while self._repeats < REPEATS and self.budget.allows(self.spent, self._in_flight):
            candidate = self._candidate()
            if candidate is None:
                return None
            proposal = self._proposal(candidate, clock_s)
            self._write(_asked(proposal))
            if self._enter(proposal):
                return proposal
        return None

    def tell(self, number: int, evaluation: Evaluation, clock_s: float = 0.0) -> bool:
        """Report how a proposal ended. Returns False, and changes nothing, if it had ended before.

        Raises:
            RaysweepError: no such proposal, or the log cannot be written.
        """
        if not self._is_open(number):
            return False
        ended = settled(evaluation)
        value = ended.value if ended.status == "finished" else None
        self._write(
            Event(
                "told", number, clock_s, None, None, None, ended.status, value, ended.cost_s, ended.epochs, ended.macs
            )
        )
        self._end(self._open[number], ended, ended.status, clock_s)
        return True

    def lose(self, number: int, cost_s: float = 0.0, clock_s: float = 0.0) -> bool:
        """Report that the worker of a proposal is lost: it is handed out again, or ends as lost after `MAX_ATTEMPTS`.

        `cost_s`: seconds the worker had spent. Returns False, and changes nothing, if the proposal had ended before.

        Raises:
            RaysweepError: no such proposal, or the log cannot be written.
        """
        if not self._is_open(number):
            return False
        self._write(Event("lost", number, clock_s, cost_s=cost_s))
        if self._lost(number, cost_s, clock_s):
            self._again.append(number)
        return True

    def give_up(self, number: int, cost_s: float = 0.0, clock_s: float = 0.0) -> bool:
        """As `lose`, for a driver that does not try again: the proposal ends as lost immediately.

        Raises:
            RaysweepError: no such proposal, or the log cannot be written.
        """
        was_open = self.lose(number, cost_s, clock_s)
        while self._is_open(number):
            self.lose(number, 0.0, clock_s)
        return was_open

    def draw(self, number: int) -> A:
        """An architecture that is not a proposal, from the present state of a method with `draw`.

        It uses separate random numbers: equal for an equal number and state.
        """
        proposer: Any = self._proposer
        drawn: A = proposer.draw(randomness(self._seed, DRAWS + number))
        return drawn

    def history(self) -> History[A]:
        """The evaluations so far, and what they cost."""
        return History(tuple(self.evaluations), replace(self.spent))

    def flush(self) -> None:
        """Write the events whose writing the log has put off.

        Raises:
            RaysweepError: it cannot be written.
        """
        if self._log:
            self._log.flush()

    def close(self) -> None:
        """Release the log for other processes."""
        if self._log:
            self._log.close()

    def _candidate(self) -> Candidate[A] | None:
        return self._proposer.propose(randomness(self._seed, self._next))

    def _proposal(self, candidate: Candidate[A], clock_s: float) -> Proposal[A]:
        key = self._space.key(candidate.architecture)
        return Proposal(self._next, candidate.architecture, key, candidate.fidelity, clock_s)

    def _write(self, event: Event) -> None:
        if self._log:
            self._log.add(event)

    def _is_open(self, number: int) -> bool:
        if not 0 <= number < self._next:
            raise RaysweepError(f"there is no proposal {number}: {self._next} have been made, counted from 0.")
        return number in self._open

    def _enter(self, proposal: Proposal[A]) -> bool:
        """Register a proposal. Returns whether it needs an evaluation."""
        self._next += 1
        what = (proposal.key, proposal.fidelity)
        self._repeats += 1
        if what in self._known and self._reuse:
            self._finish(_reused(proposal, self._known[what], proposal.issued_s))
            return False
        self._in_flight += 1
        if what in self._leaders and self._reuse:
            self._leaders[what].equals.append(proposal)
            return False
        self._repeats = 0
        self._open[proposal.number] = self._leaders[what] = Open(proposal)
        return True

    def _lost(self, number: int, cost_s: float, clock_s: float) -> bool:
        """Register a lost attempt. Returns whether there will be another one."""
        open_ = self._open[number]
        self.spent.cost_s += cost_s
        open_.cost_s += cost_s
        if open_.proposal.attempt == MAX_ATTEMPTS:
            self._end(open_, Evaluation(FAILED), "lost", clock_s)
            return False
        open_.proposal = replace(open_.proposal, issued_s=clock_s, attempt=open_.proposal.attempt + 1)
        return True

    def _end(self, open_: Open[A], ended: Evaluation, status: Status, clock_s: float) -> None:
        made = open_.proposal
        what = (made.key, made.fidelity)
        del self._open[made.number]
        if self._leaders.get(what) is open_:
            del self._leaders[what]
        self.spent.cost_s += ended.cost_s
        fidelity = (made.fidelity or 0.0) if status != "lost" else 0.0
        self.spent.epochs += fidelity if ended.epochs is None else ended.epochs
        self.spent.macs += ended.macs
        cost_s = open_.cost_s + ended.cost_s
        result = Evaluated(
            *(made.number, made.architecture, made.key, made.fidelity, ended.value, cost_s, status, made.attempt),
            clock_s=clock_s,
        )
        if status != "lost":
            self._known[what] = result
        self._in_flight -= 1 + len(open_.equals)
        self._finish(result)
        for proposal in open_.equals:
            self._finish(_reused(proposal, result, clock_s))

    def _finish(self, result: Evaluated[A]) -> None:
        self.spent.evaluations += 1
        self.evaluations.append(result)
        self._proposer.observe(result)

    def _replay(self, event: Event) -> None:
        if event.kind == "asked":
            candidate = self._candidate()
            proposal = self._proposal(candidate, event.clock_s) if candidate else None
            if proposal is None or _asked(proposal) != event:
                raise RaysweepError(
                    f"proposal {event.number} in the log is {event.architecture}, but this space and method propose "
                    f"{proposal and proposal.architecture}: the space or the method has changed. Begin a new log."
                )
            self._enter(proposal)
        elif event.kind == "lost":
            self._lost(event.number, event.cost_s or 0.0, event.clock_s)
        else:
            ended = _ended(event)
            self._end(self._open[event.number], ended, ended.status, event.clock_s)


def _asked(proposal: Proposal[Any]) -> Event:
    return Event(
        "asked", proposal.number, proposal.issued_s, proposal.key, str(proposal.architecture), proposal.fidelity
    )


def _ended(event: Event) -> Evaluation:
    value = FAILED if event.value is None else event.value
    status: Any = event.status
    return Evaluation(value, event.cost_s or 0.0, status, event.epochs, event.macs or 0.0)


def _reused(proposal: Proposal[A], known: Evaluated[A], clock_s: float) -> Evaluated[A]:
    return Evaluated(
        *(proposal.number, proposal.architecture, proposal.key, proposal.fidelity, known.value, 0.0, known.status),
        reused=True,
        clock_s=clock_s,
    )
