"""Architecture searches and races for Tune: a `Searcher` that passes on their proposals.

It proposes a trial only when a worker is free: a proposal that waits in a queue would miss results that arrive in the
meantime.
"""

from __future__ import annotations

from collections.abc import Collection
from threading import Event
from typing import Any, Protocol

import ray
from ray.tune.search import Searcher

from raysweep.orchestrate.space_searcher import StatelessSearcher
from raysweep.recipe import Recipe
from raysweep.train.task import TrialTask


class Proposing(Protocol):
    """What proposes trials and learns how they ended: architecture searches side by side, or the races of `decide`."""

    @property
    def tasks(self) -> dict[str, TrialTask]:
        """Trials handed out, by id."""

    @property
    def example(self) -> Recipe:
        """The recipe of a typical trial."""

    @property
    def waiting(self) -> Collection[str]:
        """The trials in progress."""

    def next(self) -> TrialTask | None:
        """The next trial to train. None if it depends on a trial in progress, or if all is over."""

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Report the end of a trial."""

    def most_left(self) -> int:
        """Largest possible number of trials in progress and to come."""


class NasSearch:
    """Proposals with the interface that a sweep needs."""

    ahead = 0

    def __init__(self, searches: Proposing) -> None:
        self.searches = searches
        self.example: Recipe = searches.example
        self.tasks = searches.tasks
        begun = [searches.tasks[trial] for trial in searches.waiting]
        first = searches.next()
        self.first = begun if first is None else [*begun, first]
        """The first trials: those in progress when a shortage of memory ended the sweep, and one asked for before Ray
        starts, since without one Ray is not needed."""

    @property
    def most_left(self) -> int:
        """Largest possible number of trials in progress and to come."""
        return self.searches.most_left()

    def is_over(self) -> bool:
        """Whether all budgets are spent."""
        return not self.first

    def make_searcher(self, pool: Any, stopping: Event) -> Searcher:
        """The searcher for Tune."""
        return AskTellSearch(self, pool, stopping)

    def next(self) -> TrialTask | None:
        """The next trial to train."""
        return self.first.pop(0) if self.first else self.searches.next()


class AskTellSearch(StatelessSearcher):
    """Suggests a trial when a worker is free; Tune reports how it ended before asking for the next one."""

    def __init__(self, search: NasSearch, pool: Any, stopping: Event) -> None:
        super().__init__(metric="top1", mode="max")
        self.search = search
        self.pool = pool
        self.stopping = stopping
        self.running: dict[str, str] = {}
        self.expects = True
        """Whether the pool keeps workers for further trials."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial. None if it depends on a trial in progress."""
        if self.stopping.is_set():
            return str(Searcher.FINISHED)
        task = self.search.next()
        self._expect(task is not None)
        if task is None:
            return None if self.search.searches.waiting else str(Searcher.FINISHED)
        ray.get(self.pool.add.remote(task))
        self.running[trial_id] = task.trial
        return {"trial": task.trial}

    def _expect(self, more: bool) -> None:
        if more != self.expects:
            self.expects = more
            ray.get(self.pool.expect.remote(self.search.most_left if more else 0))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end of a trial as recorded by the pool; a trial that only Tune gave up on has failed."""
        if self.stopping.is_set() or (trial := self.running.pop(trial_id, None)) is None:
            return
        end, why = ray.get(self.pool.end_of.remote(trial))
        self.search.searches.end(trial, end or "failed", why)
