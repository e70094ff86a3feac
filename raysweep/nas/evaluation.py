"""What an evaluation of an architecture comes to: a value and a cost, or one of the ways in which it can fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from raysweep.errors import RaysweepError

A = TypeVar("A")

Status = Literal["finished", "diverged", "out_of_memory", "lost"]
"""Lost: its worker was, as often as may be. It says nothing about the architecture; the others do."""
STATUSES: tuple[Status, ...] = ("finished", "diverged", "out_of_memory", "lost")
FAILED = -math.inf
"""Value of what has none: below any other."""


@dataclass(frozen=True)
class Evaluation:
    """What a user's `evaluate` returns."""

    value: float
    """Higher is better; one that is not finite is a diverged evaluation."""
    cost_s: float = 0.0
    """Seconds it took, or would have taken where it was looked up."""
    status: Status = "finished"
    epochs: float | None = None
    """Passes over the training images; none: the fidelity, where there is one."""
    macs: float = 0.0
    """Multiply-accumulates of the whole training."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES[:3]:
            raise RaysweepError(f"status {self.status!r}: an evaluation ends as {', '.join(STATUSES[:3])}.")
        for name in ("cost_s", "epochs", "macs"):
            amount = getattr(self, name)
            if amount is not None and not (math.isfinite(amount) and amount >= 0):
                raise RaysweepError(f"{name} is {amount}: a cost is a finite number, 0 or more.")


Evaluate = Callable[..., Evaluation]
"""`evaluate(architecture)`, or `evaluate(architecture, fidelity=epochs)` where the method asks for a fidelity."""


class LostWorkerError(Exception):
    """Raised by an `evaluate` whose worker is gone: the same evaluation is tried again, up to a limit."""

    def __init__(self, message: str = "worker lost", cost_s: float = 0.0) -> None:
        """`cost_s`: seconds spent until then."""
        super().__init__(message)
        self.cost_s = cost_s


@dataclass(frozen=True)
class Evaluated(Generic[A]):
    """An evaluation that has ended, as histories and methods see it."""

    number: int
    """Of the proposal, counted from 0."""
    architecture: A
    key: str
    fidelity: float | None
    value: float
    """Minus infinity unless the status is finished."""
    cost_s: float
    """With that of the attempts that were lost; 0 where the result of an equal architecture was taken."""
    status: Status
    attempts: int = 1
    reused: bool = False
    clock_s: float = 0.0
    """When it ended, since the search began: seconds of work for one worker, virtual seconds in a simulation."""


def settled(evaluation: Evaluation) -> Evaluation:
    """The evaluation with plain numbers, diverged where its value is not finite."""
    value, cost_s = float(evaluation.value), float(evaluation.cost_s)
    if evaluation.status == "finished" and math.isfinite(value):
        return replace(evaluation, value=value, cost_s=cost_s)
    status = "diverged" if evaluation.status == "finished" else evaluation.status
    return replace(evaluation, value=FAILED, cost_s=cost_s, status=status)


def call(evaluate: Evaluate, architecture: Any, fidelity: float | None) -> Evaluation:
    """One call of a user's `evaluate`; running out of memory is a result.

    Raises:
        LostWorkerError: its worker is gone.
        RaysweepError: it returned something else than an `Evaluation`.
    """
    try:
        found = evaluate(architecture) if fidelity is None else evaluate(architecture, fidelity=fidelity)
    except MemoryError:
        return Evaluation(FAILED, status="out_of_memory")
    if not isinstance(found, Evaluation):
        raise RaysweepError(f"evaluate returned a {type(found).__name__}: it must be an Evaluation(value=, cost_s=).")
    return settled(found)
