"""The result of evaluating an architecture: a value and a cost, or one of the ways to fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from raysweep.errors import RaysweepError

A = TypeVar("A")

Status = Literal["finished", "diverged", "out_of_memory", "lost"]
"""`lost`: its worker was lost in every attempt, which says nothing about the architecture. The others do."""
STATUSES: tuple[Status, ...] = ("finished", "diverged", "out_of_memory", "lost")
FAILED = -math.inf
"""The value of a failed evaluation: below any other."""


@dataclass(frozen=True)
class Evaluation:
    """The return value of a user's `evaluate`."""

    value: float
    """Higher is better; a value that is not finite means that the evaluation diverged."""
    cost_s: float = 0.0
    """Seconds it took or, for a table look-up, would have taken."""
    status: Status = "finished"
    epochs: float | None = None
    """Epochs of training. None: the fidelity, if there is one."""
    macs: float = 0.0
    """Multiply-accumulates of the whole training."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES[:3]:
            raise RaysweepError(
                f"the status is {self.status!r}: it must be {', '.join(STATUSES[:2])} or {STATUSES[2]}."
            )
        for name in ("cost_s", "epochs", "macs"):
            amount = getattr(self, name)
            if amount is not None and not (math.isfinite(amount) and amount >= 0):
                raise RaysweepError(f"{name} is {amount}: it must be a finite number, 0 or more.")


Evaluate = Callable[..., Evaluation]
"""`evaluate(architecture)`, or `evaluate(architecture, fidelity=epochs)` if the method sets a fidelity."""


class LostWorkerError(Exception):
    """Raised by an `evaluate` whose worker is lost: the evaluation is retried, up to a limit."""

    def __init__(self, message: str = "worker lost", cost_s: float = 0.0) -> None:
        """`cost_s`: seconds spent before the loss."""
        super().__init__(message)
        self.cost_s = cost_s


@dataclass(frozen=True)
class Evaluated(Generic[A]):
    """A completed evaluation, as histories and methods see it."""

    number: int
    """The number of the proposal, counted from 0."""
    architecture: A
    key: str
    fidelity: float | None
    value: float
    """Minus infinity unless the status is finished."""
    cost_s: float
    """Includes lost attempts; 0 if the result of an equal architecture was reused."""
    status: Status
    attempts: int = 1
    reused: bool = False
    clock_s: float = 0.0
    """When it ended, in seconds since the search began: working time with one worker, virtual time in a simulation."""


def settled(evaluation: Evaluation) -> Evaluation:
    """The evaluation with plain numbers; diverged if its value is not finite."""
    value, cost_s = float(evaluation.value), float(evaluation.cost_s)
    if evaluation.status == "finished" and math.isfinite(value):
        return replace(evaluation, value=value, cost_s=cost_s)
    status = "diverged" if evaluation.status == "finished" else evaluation.status
    return replace(evaluation, value=FAILED, cost_s=cost_s, status=status)


def call(evaluate: Evaluate, architecture: Any, fidelity: float | None) -> Evaluation:
    """Call a user's `evaluate`; running out of memory is a result.

    Raises:
        LostWorkerError: its worker is lost.
        RaysweepError: it did not return an `Evaluation`.
    """
    try:
        found = evaluate(architecture) if fidelity is None else evaluate(architecture, fidelity=fidelity)
    except MemoryError:
        return Evaluation(FAILED, status="out_of_memory")
    if not isinstance(found, Evaluation):
        raise RaysweepError(
            f"evaluate returned a {type(found).__name__}: it must return an Evaluation(value=, cost_s=)."
        )
    return settled(found)
