"""Trains trials one at a time in this process: the same interface as the sweep on Ray, without Ray."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from raysweep.errors import ElsewhereError, RaysweepError
from raysweep.orchestrate.events import (
    Event,
    OnEvent,
    Outcome,
    RecordEnd,
    Row,
    Train,
    elsewhere_text,
    headline,
    record_trial_end,
    train_trial,
)
from raysweep.store.claims import new_owner
from raysweep.train.task import DONE, Placement, TrialTask

LOOK_S = 5.0
"""Seconds between two looks at a trial that another process trains."""


def run_inline(
    tasks: Iterable[TrialTask | None],
    on_event: OnEvent,
    *,
    train: Train | None = None,
    record_end: RecordEnd | None = None,
    place: Placement = Placement(),  # noqa: B008 (frozen)
    max_attempts: int = 2,
) -> Outcome:
    """Train every task in order; one that fails in all its attempts is recorded and the others continue.

    A trial that another process trains comes last: its result is awaited, or it is trained here once the other process
    has given it up. `tasks` yields None where the next task depends on one of these.

    A KeyboardInterrupt propagates once the running trial has been closed.
    """
    owner = new_owner()
    place = replace(place, owner=owner, on_wait=lambda reason: on_event(Event("note", text=f"waiting {reason}")))
    record_end = record_end or partial(record_trial_end, owner=owner)
    return Outcome.of(_Runner(on_event, train or train_trial, record_end, place, max_attempts).run_all(tasks))


@dataclass
class _Runner:
    on_event: OnEvent
    train: Train
    record_end: RecordEnd
    place: Placement
    max_attempts: int
    ends: dict[str, str] = field(default_factory=dict)
    """Trial -> its end; empty while another process trains it."""
    elsewhere: dict[str, TrialTask] = field(default_factory=dict)

    def run_all(self, tasks: Iterable[TrialTask | None]) -> dict[str, str]:
        """Run all tasks; returns the end of each trial."""
        for task in tasks:
            if task is not None:
                self.on_event(Event("started", task.trial))
                self._run(task)
            elif self.elsewhere:
                self._await_one()
            else:
                break
        while self.elsewhere:
            self._await_one()
        return self.ends

    def _await_one(self) -> None:
        """Wait until one of the trials that other processes train has ended."""
        waiting = len(self.elsewhere)
        while len(self.elsewhere) == waiting:
            time.sleep(LOOK_S)
            for task in list(self.elsewhere.values()):
                self._run(task)

    def _run(self, task: TrialTask) -> None:
        try:
            end = self._attempts(task)
        except ElsewhereError as error:
            if task.trial not in self.elsewhere or error.lost:
                self.on_event(Event("elsewhere", task.trial, text=elsewhere_text(error.where)))
            self.ends[task.trial], self.elsewhere[task.trial] = "", task
        else:
            self.ends[task.trial] = end
            self.elsewhere.pop(task.trial, None)

    def _attempts(self, task: TrialTask) -> str:
        """Try a task until it ends or no attempt is left; returns its end."""
        for attempt in range(1, self.max_attempts + 1):
            try:
                return self._attempt(task, attempt)
            except ElsewhereError:
                raise
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
