"""Trains trials one at a time in this process: the same interface as the sweep on Ray, without Ray."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace

from raysweep.errors import RaysweepError
from raysweep.orchestrate.events import (
    Event,
    OnEvent,
    Outcome,
    RecordEnd,
    Row,
    Train,
    headline,
    record_trial_end,
    train_trial,
)
from raysweep.train.task import DONE, Placement, TrialTask


def run_inline(
    tasks: Iterable[TrialTask],
    on_event: OnEvent,
    *,
    train: Train | None = None,
    record_end: RecordEnd | None = None,
    place: Placement = Placement(),  # noqa: B008 (frozen)
    max_attempts: int = 2,
) -> Outcome:
    """Train every task in order; one that fails in all its attempts is recorded and the others continue.

    A KeyboardInterrupt propagates once the running trial has been closed.
    """
    place = replace(place, on_wait=lambda reason: on_event(Event("note", text=f"waiting {reason}")))
    runner = _Runner(on_event, train or train_trial, record_end or record_trial_end, place, max_attempts)
    return Outcome.of({task.trial: runner.run(task) for task in tasks})


@dataclass
class _Runner:
    on_event: OnEvent
    train: Train
    record_end: RecordEnd
    place: Placement
    max_attempts: int

    def run(self, task: TrialTask) -> str:
        """Try a task until it ends or no attempt is left; returns its end."""
        self.on_event(Event("started", task.trial))
        for attempt in range(1, self.max_attempts + 1):
            try:
                return self._attempt(task, attempt)
            except Exception as error:  # whatever a trial raises is a failure of that trial, not of the sweep
                text = "".join(traceback.format_exception(error))
                if isinstance(error, RaysweepError) or attempt == self.max_attempts:
                    return self._fail(task, text)
                note = f"attempt {attempt + 1} of {self.max_attempts} after {headline(text)}"
                self.on_event(Event("retried", task.trial, text=note))
        raise ValueError(f"max_attempts is {self.max_attempts}: it must be at least 1")

    def _attempt(self, task: TrialTask, attempt: int) -> str:
        last: Row = {}
        with closing(self.train(task, self.place, attempt)) as rows:  # type: ignore[type-var]
            for last in rows:
                self.on_event(Event("epoch", task.trial, last))
        status = last.get("status")
        if status not in DONE:
            raise RuntimeError(f"trial {task.trial} ended without a final status (its last one is {status!r})")
        self.on_event(Event(status, task.trial, last))
        return str(status)

    def _fail(self, task: TrialTask, text: str) -> str:
        self.record_end(task, "failed", text)
        self.on_event(Event("failed", task.trial, {"error": text}, headline(text)))
        return "failed"
